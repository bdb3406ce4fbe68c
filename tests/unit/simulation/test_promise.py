"""The page of the promise shows what the calibration measured, every row of it, and nothing else."""

from __future__ import annotations

from calibration.cells import Bar
from calibration.parts import every_group
from calibration.results import PAGE, Result, page, read

from airflow_provider_launchdarkly.decision.presets import PRESETS


def test_the_page_shows_the_file() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text, "run `make pages`"


def test_the_file_has_every_row_of_the_calibration() -> None:
    rows = [(group.part, row) for group in every_group() if not group.only_full for row in group.rows]
    measured = {(result.part, result.row.key): result for result in read()[0]}
    assert len(measured) == len(read()[0])
    assert list(measured) == [(part, row.key) for part, row in rows], "run `make calibrate WRITE=1`"
    for part, row in rows:
        found = measured[part, row.key]
        assert dict(found.row.bars) == dict(row.bars), found.place
        assert found.row.unpromised == row.unpromised, found.place
        assert set(found.values) == set(row.bars), found.place


def test_every_promised_figure_is_within_its_bar() -> None:
    assert [line for result in read()[0] for line in result.failures()] == []


def test_no_two_groups_share_their_random_numbers() -> None:
    names = [group.name for group in every_group()]
    assert len(set(names)) == len(names)


def test_an_error_rate_is_held_to_what_chance_allows() -> None:
    bar = Bar(0.05, sampled=2.6)
    assert bar.holds(0.0557, 10_000)
    assert not bar.holds(0.0558, 10_000)
    assert bar.holds(0.0557, 100_000)
    assert not bar.holds(0.0558, 100_000)
    assert bar.holds(0.0620, 2_000)


def test_a_figure_that_was_not_measured_is_a_failure() -> None:
    row = every_group()[0].rows[0]
    assert "was not measured" in Result("part", row, {}, 10_000).failures()[0]


def test_the_file_has_every_preset() -> None:
    assert [preset["preset"] for preset in read()[1]] == list(PRESETS), "run `make calibrate WRITE=1`"


def test_a_figure_can_have_a_bar_on_both_sides() -> None:
    coverage = Bar(0.96, least=0.94)
    assert [coverage.holds(value, 10_000) for value in (0.9399, 0.94, 0.96, 0.9601)] == [False, True, True, False]
