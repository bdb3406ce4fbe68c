"""Six situations, each as a person reads its page: what people get now, what comes next and when, and why not yet.

The answers stand in docs/how-to/see-what-a-rollout-does.md, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from airflow_provider_launchdarkly.plugins.pages.drawing import experiments_page
from airflow_provider_launchdarkly.views.model import Question
from airflow_provider_launchdarkly.views.situation import Asked, Note, Run
from airflow_provider_launchdarkly.views.whole import detail_of
from support.shown import DAG, DAY, HOUR, START, WAITS, comparison, found, run, started, stopped, task, watched
from support.surroundings import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "how-to" / "see-what-a-rollout-does.md").read_text(encoding="utf-8")
WRITTEN_DOWN = GUIDE.partition("## What it says in six situations")[2].partition("\n## ")[0]
STAGES = [started(1), started(2, START + 3 * DAY)]


@dataclass(frozen=True)
class Situation:
    """A rollout somewhere.

    Attributes:
        notes: Its notes.
        run: What Airflow says of its run.
        now: The sentence that says what people get.
        coming: The sentences that say what comes next, and when.
        because: The sentences that say why it stands there.
    """

    notes: list[Note]
    run: Run
    now: str
    coming: tuple[str, ...]
    because: tuple[str, ...]


def with_trouble(note: Note, message: str) -> Note:
    trouble = {"at": (START + 9 * DAY + HOUR).isoformat(), "message": message}
    return replace(note, body={**note.body, "trouble": trouble})


def last_stage() -> Note:
    note = watched(9, stage=3, verdict="ship", reason="better", summary="ship: Bold wins", next_look_days=None)
    return replace(note, body={**note.body, "rollout": {**note.body["rollout"], "days_to_answer": 2.0}})


def harmful() -> dict[str, object]:
    """A verdict of harm on the guardrail, by 6 % where 5 % may be lost."""
    metrics = found()["metrics"]
    guarded = {**metrics[1], "comparisons": [comparison(0.06, -3.4, None)]}
    return {"reason": "guardrail_harmed", "harmed": ["page-load-ms: Bold"], "metrics": [metrics[0], guarded]}


QUESTION = Question(
    "Ship the winner of checkout to everyone?", START + 9 * DAY, None, ("ann",), ("Approve", "Reject"), "Reject"
)
SITUATIONS = {
    "waiting": Situation(
        [*STAGES, watched()],
        run(WAITS),
        "75 % Classic, 25 % Bold.",
        ("Next look (9 of 28): Wed 11 Mar 2026 09:00 UTC.", "The stage ends at the latest: Mon 30 Mar 2026 09:00 UTC."),
        (
            (
                "This stage runs its full time, to watch for harm. Bold is 8.0 % better than the baseline on "
                "checkout-conversion, and that is not beyond chance yet: z is 2.59, and 3.16 is needed."
            ),
            "No guardrail is harmed.",
        ),
    ),
    "harmed": Situation(
        [*STAGES, watched(), stopped("rollback", "Classic", **harmful())],
        run(state="success"),
        "Everyone gets Classic.",
        ("Rolled back: Wed 11 Mar 2026 09:00 UTC.",),
        (
            (
                "Bold harmed page-load-ms: everyone is back on Classic. Bold makes page-load-ms worse by 6.0 %, "
                "and 5 % may be lost. That is beyond chance."
            ),
        ),
    ),
    "awaiting approval": Situation(
        [*STAGES, last_stage()],
        run(asked=(Asked("rollout.before_ship.approve", QUESTION),)),
        "75 % Classic, 25 % Bold.",
        (
            "Asked: Ship the winner of checkout to everyone?",
            "To be answered by ann until Fri 13 Mar 2026 09:00 UTC. No answer counts as Reject.",
        ),
        ("It waits for a person's answer. Bold is 8.0 % better than the baseline on checkout-conversion",),
    ),
    "awaiting window": Situation(
        [*STAGES, watched(verdict="inconclusive", reason="plan_ended", summary="inconclusive: the stage is over")],
        run(task("stage_3.window", "deferred", "LaunchDarklyRolloutWindowSensor", opens_at=START + 14 * DAY)),
        "75 % Classic, 25 % Bold.",
        ("The change window opens: Mon 16 Mar 2026 09:00 UTC.", "then the results are judged again"),
        ("Waiting for the change window: 09:00-16:00 on mon, tue, Europe/Berlin.",),
    ),
    "results gone": Situation(
        [*STAGES, with_trouble(watched(), "LaunchDarkly has no results endpoint any more")],
        run(task("stage_2.wait", "failed", ended_at=START + 9 * DAY + HOUR), state="failed"),
        "75 % Classic, 25 % Bold.",
        ("What to do: see the log of task rollout.stage_2.wait, mend the cause, and clear the task",),
        (
            "Nobody watches this experiment. LaunchDarkly has no results endpoint any more",
            "Since: Wed 11 Mar 2026 10:00 UTC.",
        ),
    ),
    "shipped": Situation(
        [*STAGES, watched(), stopped(reason="better")],
        run(state="success"),
        "Everyone gets Bold.",
        ("Shipped: Wed 11 Mar 2026 09:00 UTC.",),
        (
            (
                "Everyone gets Bold. Bold is 8.0 % better than the baseline on checkout-conversion, and that is beyond "
                "chance: z is 2.59"
            ),
        ),
    ),
}  # fmt: skip


def words_of(part: ElementTree.Element) -> str:
    """What a part of a page says, in one line."""
    return re.sub(r"\s+", " ", " ".join(part.itertext())).replace(" .", ".").replace(" ,", ",")


def below(page: ElementTree.Element, heading: str) -> str:
    """What stands below a heading."""
    for part in page.iter():
        inside = list(part)
        for head, following in pairwise(inside):
            if head.tag == "h2" and words_of(head) == heading:
                return words_of(following)
    raise AssertionError(f"the page has no heading {heading}")


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_page_alone_answers_the_three_questions(name: str) -> None:
    situation = SITUATIONS[name]
    text = experiments_page([detail_of(situation.notes, situation.run)], DAG)
    page = ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))
    assert situation.now in below(page, "Who gets what now")
    shown = words_of(page)
    assert [answer for answer in (*situation.coming, *situation.because) if answer not in shown] == [], shown


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_answers_are_written_down(name: str) -> None:
    (row,) = [line for line in WRITTEN_DOWN.splitlines() if line.startswith(f"| {name} | ")]
    assert SITUATIONS[name].now in row
    assert re.split(r"[.:]", SITUATIONS[name].because[0])[0] in row
