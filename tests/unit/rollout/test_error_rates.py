"""The error rates of a rollout's policy hold for the whole rollout: each stage gets its part of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.rollout.spec import Rollout

EXPERIMENT = {
    "key": "button",
    "flag": "checkout-button",
    "hypothesis": "Bold is better.",
    "treatments": [{"variation": "Classic", "baseline": True}, {"variation": "Bold"}],
    "primary_metric": "checkout-conversion",
}
GATES = ("guardrails", "none", "decision")
ALPHA, ALPHA_HARM = 0.06, 0.03


def rollout(gates: list[str], inconclusive: str, alpha: float = ALPHA, alpha_harm: float = ALPHA_HARM) -> Rollout:
    stages: list[dict[str, Any]] = [{"allocation": 10, "dwell": "2d", "gate": gate} for gate in gates]
    return Rollout.from_json(
        {
            "experiment": EXPERIMENT,
            "stages": [*stages, {"allocation": 50, "gate": "decision"}],
            "policy": {"alpha": alpha, "alpha_harm": alpha_harm},
            "endings": {"inconclusive": inconclusive},
        }
    )


@pytest.mark.parametrize(
    ("gates", "inconclusive", "tests_that_can_ship", "tests_that_can_harm"),
    [
        ([], "baseline", 1, 1),
        (["guardrails"], "baseline", 1, 2),
        (["decision"], "baseline", 2, 2),
        (["guardrails", "none", "decision"], "baseline", 2, 4),
        # The extension of the last stage is one more test, of shipping and of harm.
        ([], "extend", 2, 2),
        ([], "ask", 2, 2),
        (["guardrails", "decision"], "extend", 3, 4),
    ],
)
def test_a_stage_gets_an_even_part_of_the_error_rates(
    gates: list[str], inconclusive: str, tests_that_can_ship: int, tests_that_can_harm: int
) -> None:
    spec = rollout(gates, inconclusive)
    for number in range(len(spec.stages)):
        policy = spec.policy_of(number)
        assert policy.alpha == pytest.approx(ALPHA / tests_that_can_ship)
        assert policy.alpha_harm == pytest.approx(ALPHA_HARM / tests_that_can_harm)


def test_futility_ends_only_the_last_stage_and_its_extension() -> None:
    spec = rollout(["decision", "guardrails"], "extend")
    assert [spec.policy_of(number).futility for number in range(2)] == [None, None]
    assert spec.policy.futility is not None
    assert spec.policy_of(2).futility == spec.policy_of(2, extended=True).futility == spec.policy.futility


def test_looks_for_harm_go_to_every_stage_that_is_longer_than_their_interval() -> None:
    spec = Rollout.from_json(
        {
            "experiment": EXPERIMENT,
            "stages": [
                {"allocation": 1, "dwell": "2h", "gate": "guardrails"},
                {"allocation": 10, "dwell": "2d", "gate": "guardrails"},
                {"allocation": 50, "gate": "decision"},
            ],
            "policy": {"harm_looks": "2h"},
        }
    )
    assert [spec.policy_of(number).harm_looks for number in range(3)] == [None, *2 * [timedelta(hours=2)]]


@given(
    gates=st.lists(st.sampled_from(GATES), max_size=19),
    inconclusive=st.sampled_from(["baseline", "extend", "ask"]),
    alpha=st.floats(0.001, 0.2),
    alpha_harm=st.floats(0.001, 0.2),
)
def test_the_error_rates_of_all_tests_add_up_to_those_of_the_policy(
    gates: list[str], inconclusive: str, alpha: float, alpha_harm: float
) -> None:
    """Bonferroni's inequality: the sum bounds the probability of any error in the whole rollout."""
    spec = rollout(gates, inconclusive, alpha, alpha_harm)
    policies = [spec.policy_of(number) for number in range(len(spec.stages))]
    can_ship = [policy for policy, stage in zip(policies, spec.stages, strict=True) if stage.gate == "decision"]
    if inconclusive != "baseline":
        extension = spec.policy_of(len(spec.stages) - 1, extended=True)
        policies.append(extension)
        can_ship.append(extension)
    assert sum(policy.alpha for policy in can_ship) == pytest.approx(alpha)
    assert sum(policy.alpha_harm for policy in policies) == pytest.approx(alpha_harm)
    assert len({policy.alpha for policy in policies}) == len({policy.alpha_harm for policy in policies}) == 1
