"""Which ships stand under a bound on the share of false ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control, norm

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.portfolio.discovery import bound_false_ships, standing_of
from airflow_provider_launchdarkly.portfolio.reading import Outcome, read_records
from support.quarter import Trial, write_quarter


def shipped(records: Path) -> list[Outcome]:
    return [one for one in read_records([str(records)]) if one.kind is Kind.SHIP]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.integers(0, 20), st.sampled_from([0.05, 0.2, 0.5]))
def test_as_many_stand_as_scipy_finds(p_values: list[float], others: int, rate: float) -> None:
    adjusted = false_discovery_control([*p_values, *[1.0] * others])[: len(p_values)]
    # At a threshold to the last digit, either may round.
    near = np.isclose(adjusted, rate, rtol=1e-9).any()
    assert near or standing_of(sorted(p_values), len(p_values) + others, rate) == (adjusted <= rate).sum()


def test_a_ship_s_p_value_is_within_what_its_look_spends(records: Path) -> None:
    for one in shipped(records):
        *_, before, last = [
            entry["verdict"]["metrics"][0]["comparisons"][0]["success"]["alpha_spent"]
            for entry in chain.read(Path(one.record).read_text())
        ]
        assert before < one.p_value <= last


def test_at_the_first_look_the_p_value_is_the_tail_beyond_z(tmp_path: Path) -> None:
    write_quarter(tmp_path, [Trial("button", (0.15,), policy={"looks": {"only_at_end": True}})])
    (one,) = shipped(tmp_path)
    z = chain.read(Path(one.record).read_text())[-1]["verdict"]["metrics"][0]["comparisons"][0]["success"]["z"]
    assert one.p_value == pytest.approx(norm.sf(z))


def test_each_of_several_treatments_counts(tmp_path: Path) -> None:
    alone = {"looks": {"only_at_end": True}, "multiplicity": "bonferroni"}
    write_quarter(tmp_path, [Trial("headlines", (0.3, 0.0), policy=alone)])
    (one,) = shipped(tmp_path)
    z = chain.read(Path(one.record).read_text())[-1]["verdict"]["metrics"][0]["comparisons"][0]["success"]["z"]
    assert one.p_value == pytest.approx(2 * norm.sf(z))


def test_the_experiments_that_did_not_ship_count(records: Path) -> None:
    everything = read_records([str(records)])
    ended = [one for one in everything if one.kind is not Kind.WAIT]
    found = bound_false_ships(everything, 0.2)
    assert found.family == len(ended)
    assert found.all_stand
    crowd = [replace(everything[0], kind=Kind.INCONCLUSIVE)] * 2000
    alone = bound_false_ships([*everything, *crowd], 0.2)
    assert not any(ship.stands for ship in alone.ships)


def test_a_rule_without_an_alpha_has_no_p_value(tmp_path: Path) -> None:
    write_quarter(tmp_path, [Trial("button", (0.3,), policy={"preset": "launchdarkly"})])
    assert [one.p_value for one in shipped(tmp_path)] == [1.0]
