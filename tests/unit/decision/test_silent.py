"""Guardrails and signals without one event: nothing ships by mistake, and no words say that they were checked."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_launchdarkly.decision.evidence import Standing
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.standing import fingerprint
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason
from support.evidence import BOLD, evidence, rates, shifted

BETTER = shifted("clicks", 6.0)
EMPTY = rates("errors", 10_000, 0.0, 0.0)
SHOWS_NOTHING = "errors is 0 for every unit of every treatment, so it shows no harm and no safety"


def policy(role: str = "guardrails", **fields: Any) -> Policy:
    return Policy.from_json({role: [{"metric": "errors", "direction": "lower", **fields}], "harm_looks": "15m"})


@pytest.mark.parametrize(
    ("role", "field"), [("guardrails", "needs_events"), ("signals", "required")], ids=["guardrail", "signal"]
)
def test_a_ship_is_held_and_the_cure_is_named(role: str, field: str) -> None:
    held = decide(policy(role), evidence(14, BETTER, EMPTY))
    assert (held.kind, held.reason) == (Kind.WAIT, Reason.NO_DATA)
    assert held.summary.endswith(f"; but {SHOWS_NOTHING}: wait")
    assert f"nothing ships, unless the {role[:-1]} has {field}: false" in held.cautions[0]
    accepted = decide(policy(role, **{field: False}), evidence(14, BETTER, EMPTY))
    assert accepted.kind is Kind.SHIP
    assert accepted.cautions[0] == f"{SHOWS_NOTHING}: look at its event's key"


def test_an_event_of_every_unit_is_no_lack_of_events() -> None:
    assert decide(policy(), evidence(14, BETTER, rates("errors", 10_000, 1.0, 1.0))).kind is Kind.SHIP


def test_an_event_in_another_treatment_shows_that_events_come() -> None:
    clicks = rates("clicks", 10_000, 0.10, 0.13, 0.10)
    assert decide(policy(), evidence(14, clicks, rates("errors", 10_000, 0.0, 0.0, 0.0))).kind is Kind.WAIT
    found = decide(policy(), evidence(14, clicks, rates("errors", 10_000, 0.0, 0.0, 0.0001)))
    assert (found.kind, found.treatment) == (Kind.SHIP, "Bold")
    assert "errors" not in "".join(found.cautions)


def test_a_crossing_that_stands_is_held_too() -> None:
    crossed = Standing(BOLD, 12, "clicks", fingerprint(policy()))
    assert decide(policy(), evidence(14, BETTER, EMPTY)._replace(standing=crossed)).reason is Reason.NO_DATA


def test_a_look_for_harm_does_not_say_that_it_found_none() -> None:
    found = decide(policy(), evidence(3.5, BETTER, EMPTY)._replace(only_harm=True))
    assert "no harm to clicks (" in found.summary
    assert found.summary.endswith(f"; {SHOWS_NOTHING}: wait")
    alone = evidence(3.5, EMPTY)._replace(only_harm=True, primary_metric="clicks")
    assert decide(policy(), alone).summary == f"look for harm, day 3.5: {SHOWS_NOTHING}: wait"
    assert decide(policy(), alone).cautions[0].startswith(SHOWS_NOTHING)
