"""The project's own example rollouts, stage by stage, where nothing is worse than their policies tolerate."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.rollout.files import Broken, read_files
from airflow_provider_launchdarkly.rollout.options import Gate
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.simulation.vectorized_judge import Outcomes, judge
from calibration.cells import BOTH_ERRORS, DEFAULT, ROLLBACK, SHIP, Group, Measured, Row, shares
from calibration.worlds import Traffic, conversions

EXAMPLES = Path(__file__).parents[3] / "dags_examples"
PART = "the example ramps"

# Conversions of 3 %, and 3 errors in a thousand units: rare events in a treatment of a tenth.
RATE, ERRORS = 0.03, 0.003


def example_ramps() -> Iterator[Group]:
    """Every example rollout that has more than one stage, with an error rate as its guardrail."""
    for name, rollout in sorted(_rollouts()):
        if len(rollout.stages) > 1:
            yield _ramp(name, rollout)


def _rollouts() -> Iterator[tuple[str, Rollout]]:
    for found in read_files(sorted((EXAMPLES / "rollouts").glob("*.yaml"))):
        if isinstance(found, Broken):
            raise TypeError(f"{found} is not a rollout")
        yield found.name, found.rollout
    for path in sorted(EXAMPLES.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Dict) and "stages" in (_text(key) for key in node.keys):
                try:
                    yield path.stem, Rollout.from_json(ast.literal_eval(node))
                except ValueError:
                    # It holds a name that only running the module gives; it has one stage.
                    continue


def _text(node: ast.expr | None) -> Any:
    return node.value if isinstance(node, ast.Constant) else None


def _ramp(name: str, rollout: Rollout) -> Group:
    row = Row(name, DEFAULT, "", BOTH_ERRORS)
    stages = [_Stage(rollout, number) for number in range(len(rollout.stages))]

    def measure(random: np.random.Generator, experiments: int) -> Measured:
        going = np.ones(experiments, dtype=np.bool_)
        rolled_back, shipped = np.zeros_like(going), np.zeros_like(going)
        for stage in stages:
            ended = stage.judged(random, experiments)
            rolled_back |= going & ended.are(Kind.ROLLBACK)
            if stage.decides:
                shipped |= going & ended.are(Kind.SHIP)
            # A gate of guardrails is passed by a treatment that is better, too.
            going &= ended.are(Kind.INCONCLUSIVE) | (ended.are(Kind.SHIP) & (not stage.decides))
        return {row.key: shares({SHIP: shipped, ROLLBACK: rolled_back})}

    return Group(PART, (row,), measure)


class _Stage:
    """One stage: its own data, its share of the error rates."""

    def __init__(self, rollout: Rollout, number: int) -> None:
        stage = rollout.stages[number]
        fields = rollout.policy_of(number).to_json()
        guardrails = [{**part, "direction": "lower"} for part in fields["guardrails"]]
        # A signal only keeps a treatment from shipping, so without it no fewer ship.
        self.policy = Policy.from_json({**fields, "guardrails": guardrails, "signals": [], "futility": "off"})
        self.decides = stage.gate is Gate.DECISION
        treated = float(stage.allocation) / 100.0  # type: ignore[arg-type]
        self.shares = (1.0 - treated, treated)
        traffic = Traffic(shares=self.shares, days=self.policy.max_duration.days)
        sign = (self.policy.primary.direction or Direction.HIGHER).sign
        rates = (RATE, RATE * (1.0 - sign * self.policy.primary.margin))
        tolerated = max((part.margin for part in self.policy.guardrails), default=0.0)
        self.drawing = conversions(
            traffic,
            rates,
            guardrails=len(guardrails),
            guardrail_rates=(ERRORS, ERRORS * (1.0 + tolerated)),
        )

    def judged(self, random: np.random.Generator, experiments: int) -> Outcomes:
        """Draw and judge the stage."""
        return judge(self.policy, self.drawing(random, experiments), self.shares)
