"""Scales: whatever the values, marks are round, places are on the picture, and what matters is not squeezed."""

from __future__ import annotations

import math

from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.pictures.scale import round_step, scale_of

NUMBERS = st.floats(-1e12, 1e12, allow_nan=False)
ANYTHING = st.one_of(st.none(), st.floats(), NUMBERS)


@given(st.lists(ANYTHING), st.lists(ANYTHING))
def test_every_value_has_a_place_on_the_picture(values: list[float | None], rest: list[float | None]) -> None:
    scale = scale_of(values, 10.0, 110.0, rest=rest)
    assert scale.low < scale.high
    for value in (*values, *rest):
        if value is not None and math.isfinite(value):
            assert 10.0 <= scale.place(value) <= 110.0


@given(st.lists(NUMBERS, min_size=1), st.lists(ANYTHING))
def test_what_must_be_on_the_scale_is_within_it(values: list[float], rest: list[float | None]) -> None:
    scale = scale_of(values, 0.0, 1.0, rest=rest)
    assert all(scale.holds(value) for value in values)


@given(st.lists(NUMBERS, min_size=2, max_size=5), st.lists(NUMBERS))
def test_the_rest_takes_no_more_than_its_room(values: list[float], rest: list[float]) -> None:
    span = max(values) - min(values)
    assume(span > 1e-6 * max(abs(max(values)), abs(min(values)), 1e-6))
    scale = scale_of(values, 0.0, 1.0, rest=rest)
    # Three times its own span on either side, and the rounding of both ends, at most.
    assert span / (scale.high - scale.low) > 0.15


@given(st.lists(NUMBERS, min_size=1))
def test_marks_are_few_rising_evenly_spaced_and_within(values: list[float]) -> None:
    scale = scale_of(values, 0.0, 1.0)
    marks = scale.marks()
    assert 2 <= len(marks) <= 8
    assert list(marks) == sorted(set(marks))
    assert all(scale.holds(mark) for mark in marks)
    if scale.low <= 0.0 <= scale.high:
        assert 0.0 in marks


@given(st.floats(1e-12, 1e12))
def test_a_step_is_one_two_or_five_times_a_power_of_ten(least: float) -> None:
    step = round_step(least)
    assert least * (1 - 1e-12) <= step <= least * 2.5 * (1 + 1e-12)
    mantissa = step / 10.0 ** math.floor(math.log10(step) + 1e-9)
    assert min(abs(mantissa - each) for each in (1.0, 2.0, 5.0, 10.0)) < 1e-6


@given(NUMBERS, NUMBERS, NUMBERS)
def test_places_keep_the_order_of_values(first: float, second: float, third: float) -> None:
    scale = scale_of([first, second], 0.0, 100.0, rest=[third])
    low, high = sorted((first, third))
    assert scale.place(low) <= scale.place(high)


def test_without_any_value_there_is_a_scale_around_zero() -> None:
    scale = scale_of([None, math.inf, math.nan], 0.0, 10.0)
    assert (scale.low, scale.high, scale.place(0.0)) == (-1.0, 1.0, 5.0)
