"""`DataExportResults` beside an independent computation over the raw rows of simulated experiments.

`make prove` compares 1,000 of them (`tests/benchmarks/prove_export.py`); here is a share of each database.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from airflow_provider_launchdarkly.evidence.warehouse.definition import Cap
from support.raw_answers import cut_off
from support.raw_proof import compare
from support.raw_rows import catalogue, draw_metrics
from support.raw_source import find
from support.raw_tables import engines

# The numbers of the experiments that each database gets; the same one twice would show the same.
SHARES = {
    "sqlite": (range(40), range(40, 80), range(80, 110)),
    "duckdb": (range(110, 130),),
    "postgres": (range(130, 150),),
}


@pytest.mark.parametrize(
    ("kind", "numbers"), [(kind, numbers) for kind in engines() for numbers in SHARES[kind]], ids=str
)
def test_units_means_deviations_and_verdicts_are_those_of_the_rows(kind: str, numbers: range, tmp_path: Path) -> None:
    tally = compare(kind, numbers, tmp_path, find)
    assert tally.differences == []
    assert tally.experiments == len(numbers)
    assert len({verdict for verdict, _ in tally.verdicts}) >= 3


def test_every_shape_of_metric_is_compared_as_the_one_that_decides() -> None:
    numbers = [number for part in SHARES["sqlite"] for number in part]
    drawn = [draw_metrics(random.Random(number), number) for number in numbers]
    assert {primary.key for primary, *_ in drawn} == set(catalogue(random.Random(0)))


def test_caps_are_those_of_launchdarkly_s_example() -> None:
    values = dict(enumerate([5.0, 120.0, 135.0, 140.0, 145.0, 150.0, 155.0, 160.0, 170.0, 950.0]))
    named = {str(key): value for key, value in values.items()}
    assert list(cut_off(named, None, Cap(upper=90.0)).values())[-2:] == [170.0, 170.0]
    assert list(cut_off(named, None, Cap(lower=10.0, upper=90.0)).values())[:2] == [120.0, 120.0]
