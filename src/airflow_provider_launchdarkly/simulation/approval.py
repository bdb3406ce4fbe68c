"""Judge simulated experiments whose ships wait for a person, where a crossing stands until the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.vectorized_judge import CODES, Outcomes, VectorizedJudge, outcomes_at

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.sampling import Draws


def judge_with_approval(
    policy: Policy,
    draws: Draws,
    planned_shares: tuple[float, ...],
    delay: timedelta,
    started_at: datetime | None = None,
) -> Outcomes:
    """Judge each experiment until it ends, where somebody approves each ship after a time.

    Nothing is judged while the answer is awaited. With the answer the data are judged once, and the crossing stands. If
    they do not ship then and the plan has not ended, the experiment waits for the boundary again.

    Args:
        policy: The policy.
        draws: The measurements at each look. The last one must come at least `delay` after the plan's end.
        planned_shares: The planned shares of the treatments, the baseline first.
        delay: Time from a crossing to the answer; the answer is given at the first of the moments drawn from then on.
        started_at: Start of the iterations; only needed for looks at cron times.

    Returns:
        The endings. An experiment that ships does so at the look of the answer.

    Raises:
        ValueError: The draws end before an answer.
    """
    answers = _answers(draws, delay)
    judge = VectorizedJudge(policy, draws, planned_shares, started_at)
    kind, winner = judge.kinds()
    standing = np.stack([judge.kinds_if_standing(treatment) for treatment in range(1, len(planned_shares))], axis=2)
    experiments, looks = kind.shape
    awaited, asked = np.full(experiments, -1), np.zeros(experiments, dtype=np.int64)
    ended, at = np.zeros(experiments, dtype=np.int64), np.full(experiments, looks - 1)
    wait, ship = CODES[Kind.WAIT], CODES[Kind.SHIP]
    for look in range(looks):
        running = ended == wait
        answered = running & (awaited == look)
        waiting = running & (awaited < 0)
        found = np.where(answered, standing[np.arange(experiments), look, asked - 1], kind[:, look])
        crosses = waiting & (found == ship)
        if crosses.any() and answers[look] > look:
            found = np.where(crosses, wait, found)
            awaited[crosses] = _known(answers, look, looks)
        asked = np.where(crosses, winner[:, look], asked)
        ends = (waiting | answered) & (found != wait)
        ended[ends], at[ends] = found[ends], look
        awaited[answered] = -1
    return outcomes_at(at, ended, np.where(ended == ship, asked, 0), judge.early, draws)


def _answers(draws: Draws, delay: timedelta) -> NDArray[np.int64]:
    """Return the index of the moment at which a crossing at each look is answered."""
    seconds = np.array([moment.total_seconds() for moment in draws.moments])
    return np.searchsorted(seconds, seconds + delay.total_seconds())


def _known(answers: NDArray[np.int64], look: int, looks: int) -> int:
    if answers[look] >= looks:
        raise ValueError(f"the draws end before the answer to a crossing at look {look + 1}; draw later moments too")
    return int(answers[look])
