"""Looks and experiments of the reading model, for pictures of every kind: usual ones, and those that break charts."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_launchdarkly.views.model import (
    Comparison,
    ExperimentDetail,
    ExperimentSummary,
    Happening,
    HarmWatch,
    Links,
    Look,
    MetricAtLook,
    PlannedLook,
    Progress,
    Question,
    Record,
    Share,
    SplitTest,
    Stage,
    State,
)
from airflow_provider_launchdarkly.views.unwatched import Unwatched

START = datetime(2026, 11, 17, 9, tzinfo=UTC)
PRIMARY, GUARDRAIL = "checkout-conversion", "page-load-ms"
# What an experiment might be named by someone who wants to run a script on its page.
EVIL = "<img src=x onerror=alert(1)>\"'&]]>\x1b[31m\x00\ud800"


def compared(number: int, treatment: str = "Bold", lift: float = 0.08) -> Comparison:
    """Return a treatment on the primary metric at a look, with an interval that narrows."""
    half, boundary = 0.6 / number**0.5, 4.0 - 0.1 * number
    z = lift * boundary / half
    return Comparison(
        treatment, 500 * number, 500 * number, lift, lift - half, lift + half, 0.9, z=z, boundary=boundary,
        harm_z=-z, harm_boundary=3.0, better=z >= boundary, chance=0.6,
    )  # fmt: skip


def guarded(number: int, treatment: str = "Bold", lift: float = 0.004, *, harmed: bool = False) -> Comparison:
    """Return a treatment on the guardrail at a look."""
    half = 0.06 / number**0.5
    z = (lift - 0.05) / (half / 3.0)
    return Comparison(
        treatment, 500 * number, 500 * number, lift, lift - half, lift + half, 0.95,
        z=-lift / (half / 3.0), harm_z=z, harm_boundary=3.0, harmed=harmed,
    )  # fmt: skip


def look(number: int, *names: str, of: int = 28) -> Look:
    """Return a look at a primary metric and a guardrail."""
    treatments = names or ("Bold",)
    return Look(
        number, of, START + timedelta(days=number), float(number), "wait", "not_significant",
        f"look {number} of {of}, day {number}.0: Bold +8.0 %: wait", iteration_id="it-1", units=1000 * number,
        metrics=(
            MetricAtLook(PRIMARY, "primary", "higher", 0.0, tuple(compared(number, name) for name in treatments)),
            MetricAtLook(GUARDRAIL, "guardrail", "lower", 0.05, tuple(guarded(number, name) for name in treatments)),
        ),
        split=SplitTest(
            ("Classic", *treatments), tuple(500 * number for _ in range(1 + len(treatments))),
            tuple(100 / (1 + len(treatments)) for _ in range(1 + len(treatments))), 0.7, 0.01, mismatch=False,
        ),
    )  # fmt: skip


def planned(of: int = 28) -> tuple[PlannedLook, ...]:
    """Return the plan of daily looks, at which nothing ships before day 7."""
    return tuple(
        PlannedLook(
            day, float(day), START + timedelta(days=day), None if day < 7 else 4.0 - 0.07 * day, 3.4 - 0.03 * day
        )
        for day in range(1, of + 1)
    )


def detail(looks: int = 8, **changes: Any) -> ExperimentDetail:
    """Return an experiment in its second stage, with so many looks; ``changes`` are those of its summary."""
    taken = tuple(look(number) for number in range(1, looks + 1))
    shares = (Share("Classic", 75.0, baseline=True), Share("Bold", 25.0))
    summary = ExperimentSummary(
        "demo", "production", "bold-checkout-button", "bold", "manual__1", State.WAITING, "look 9 of 28 is next",
        flag="checkout", owner=("growth",),
        stages=(
            Stage(1, "canary", (Share("Classic", 90.0, baseline=True), Share("Bold", 10.0)), Progress.DONE, days=3.0),
            Stage(2, "quarter", shares, Progress.NOW, days=28.0),
            Stage(3, "half", (), Progress.NEXT, asks=True),
        ),
        stage=2, shares=shares, look=taken[-1] if taken else None, looks=28,
        next_look=START + timedelta(days=looks + 1), harm=HarmWatch((PRIMARY, GUARDRAIL), 0.25, (), START),
        links=Links("/dags/bold/runs/manual__1", None, "https://app.launchdarkly.com/projects/demo"),
    )  # fmt: skip
    return ExperimentDetail(
        replace(summary, **changes),
        hypothesis="Bold converts better.",
        looks=taken,
        planned=planned(),
        split=taken[-1].split if taken else None,
        why="Bold is 8.0 % better than the baseline, and that is not beyond chance yet.",
        to_come=("Ships from day 7 on.", "Ends without a winner on day 28."),
        policy=("A treatment ships if it is better than the baseline.",),
        timeline=(
            Happening(START, "created and started at 10 %"),
            Happening(START + timedelta(days=3), "approved", who="admin"),
            Happening(START + timedelta(days=9), "next look", ahead=True),
        ),
        record=Record(8, "af1bdcfd", "decisions/it-1.jsonl", whole=True),
        cautions=("no earlier look is known",),
    )


QUESTION = Question("Ship Bold?", START, START + timedelta(days=2), ("ada",), ("Approve", "Reject"), "Reject")
UNWATCHED = Unwatched(START, "The access token is refused.", "25 % go on getting Bold.", "Clear the task.", "wait")
