"""Compares what a source finds in raw rows with what the rows say."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.decision.judge import decide
from support.raw_answers import answer
from support.raw_looks import evidence_of, policy_of
from support.raw_rows import RawExperiment, draw_experiment, rows_of
from support.raw_tables import load, open_export
from support.warehouse import Warehouse

# So many experiments share a database: the rows of the others are strangers' rows.
TOGETHER = 10
TOLERANCE = 1e-9
# A deviation of exactly 0 that comes from sums: the product keeps the upper bound of their rounding (`moments.py`), the
# root of which is far above the rounding itself. It never makes a difference look surer than it is.
ROUNDED_TO_NOTHING = 1e-6

Find = Callable[[Warehouse, RawExperiment], Evidence]
"""Returns the evidence that a source finds in the tables for an experiment."""


@dataclass
class Tally:
    """What was compared.

    Attributes:
        experiments: Number of experiments.
        measurements: Number of units, means and deviations that were compared.
        worst: The largest difference of a mean or deviation, as a share of the deviation or of 1e-9 of the mean.
        verdicts: How many experiments came to each verdict and reason.
        differences: A sentence on each difference.
    """

    experiments: int = 0
    measurements: int = 0
    worst: float = 0.0
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def compare(kind: str, numbers: Iterable[int], folder: Path, find: Find, moment: str | None = None) -> Tally:
    """Draw experiments, put their rows into tables, and compare what a source finds with what the rows say.

    Args:
        kind: The kind of database.
        numbers: Numbers of the experiments.
        folder: Where the database's files go.
        find: The source.
        moment: The type of the tables' times; None takes the usual one.
    """
    tally = Tally()
    wanted = list(numbers)
    for start in range(0, len(wanted), TOGETHER):
        experiments = [draw_experiment(number) for number in wanted[start : start + TOGETHER]]
        own = folder / f"{kind}-{start}"
        own.mkdir()
        with open_export(kind, own, moment=moment) as warehouse:
            load(warehouse, own, *rows_of(experiments))
            for experiment in experiments:
                _compare(experiment, lambda drawn: find(warehouse, drawn), tally)
    return tally


def _compare(experiment: RawExperiment, find: Callable[[RawExperiment], Evidence], tally: Tally) -> None:
    tally.experiments += 1
    expected = evidence_of(experiment, answer(experiment))
    found, policy = find(experiment), policy_of(experiment)
    for problem in _differences(expected, found, tally):
        tally.differences.append(f"experiment {experiment.number}: {problem}")
    should, does = decide(policy, expected), decide(policy, found)
    if (should.kind, should.reason, should.treatment_id) != (does.kind, does.reason, does.treatment_id):
        tally.differences.append(f"experiment {experiment.number}: {should.summary!r}, but {does.summary!r}")
    tally.verdicts[should.kind.value, should.reason.value] += 1


def _differences(expected: Evidence, found: Evidence, tally: Tally) -> Iterator[str]:
    exposed = [(treatment.id, treatment.exposed) for treatment in expected.treatments]
    if exposed != [(treatment.id, treatment.exposed) for treatment in found.treatments]:
        yield f"exposed {exposed}, but {[treatment.exposed for treatment in found.treatments]}"
    if expected.unchanged_for != found.unchanged_for:
        yield f"unchanged for {expected.unchanged_for}, but {found.unchanged_for}"
    for one, other in zip_longest(expected.metrics, found.metrics):
        if one is None or other is None or one.key != other.key:
            yield f"metrics {one}, but {other}"
            continue
        for should, does in zip_longest(one.measurements, other.measurements):
            tally.measurements += 3
            if (should.treatment_id, should.units) != (does.treatment_id, does.units):
                yield f"{one.key}: {should}, but {does}"
                continue
            size = max(abs(should.mean or 0.0), should.std_dev or 0.0)
            for name in ("mean", "std_dev"):
                wanted, got = getattr(should, name), getattr(does, name)
                if (wanted is None) != (got is None):
                    yield f"{one.key}: {should}, but {does}"
                elif wanted is not None:
                    off = abs(wanted - got) / size if size else abs(wanted - got)
                    if name == "std_dev" and wanted == 0.0 and 0.0 <= off < ROUNDED_TO_NOTHING:
                        continue
                    tally.worst = max(tally.worst, off)
                    if not math.isfinite(got) or off > TOLERANCE:
                        yield f"{one.key}, {name}: {should}, but {does}"
