"""Nine situations, each as a person reads its page: what people get now, what comes next and when, and why not yet.

The answers stand in docs/how-to/see-what-a-rollout-does.md, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any
from xml.etree import ElementTree

import pytest

from airflow_provider_launchdarkly.plugins.pages.drawing import experiments_page
from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Run
from airflow_provider_launchdarkly.views.model import Question
from airflow_provider_launchdarkly.views.releases import read_release
from airflow_provider_launchdarkly.views.whole import detail_of
from support.shown import (
    DAG,
    DAY,
    HOUR,
    START,
    WAITS,
    comparison,
    found,
    handed_over,
    left_running,
    release_note,
    run,
    ships,
    started,
    stopped,
    task,
    watched,
)
from support.surroundings import REPOSITORY

GUIDE = (REPOSITORY / "docs" / "how-to" / "see-what-a-rollout-does.md").read_text(encoding="utf-8")
WRITTEN_DOWN = GUIDE.partition("## What it says in nine situations")[2].partition("\n## ")[0]
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
        polled: What the sensor of the winner's release left last; None without.
    """

    notes: list[Note]
    run: Run
    now: str
    coming: tuple[str, ...]
    because: tuple[str, ...]
    polled: dict[str, Any] | None = None


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
    "handed over": Situation(
        [*STAGES, last_stage(), handed_over(3, release=True)],
        run(task("release.start", "deferred", "LaunchDarklyShipByReleaseOperator")),
        "Everyone gets Classic.",
        (
            "To do in LaunchDarkly: start the release of flag checkout-button: a guarded release from 'Classic' to",
            "Reviewers: grace@example.com, team:checkout. It is waited for until Thu 12 Mar 2026 09:00 UTC.",
        ),
        ("It waits for a person, who has to start the release of flag checkout-button in LaunchDarkly",),
    ),
    "releasing": Situation(
        [*STAGES, last_stage(), ships()],
        run(task("release.watch", "deferred", "LaunchDarklyReleaseSensor")),
        "90 % Classic, 10 % Bold.",
        ("Next step, 50 %: Thu 12 Mar 2026 09:00 UTC.", "When step 1 ends, 50 % get Bold."),
        (
            (
                "A guarded release takes Bold to everyone: step 1 of 2, 10 %. LaunchDarkly judges its metrics: "
                "checkout-conversion ok, page-load-ms no data."
            ),
            "Step 1 of 2 of the guarded release, since Wed 11 Mar 2026 09:00 UTC, until Thu 12 Mar 2026 09:00 UTC.",
        ),
        release_note(0),
    ),
    "invalid": Situation(
        [*STAGES, started(3, START + 8 * DAY), left_running()],
        run(state="success"),
        "50 % Classic, 50 % Bold.",
        ("What to do: To go on, clear the task rollout.verdict. Or stop the experiment in LaunchDarkly.",),
        ("Nobody watches this experiment. units are split 40 to 60, planned 50 to 50",),
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
            if head.tag == "h2" and words_of(head).startswith(heading):
                return words_of(following)
    raise AssertionError(f"the page has no heading {heading}")


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_page_alone_answers_the_three_questions(name: str) -> None:
    situation = SITUATIONS[name]
    release = read_release(situation.polled or {})
    detail = detail_of(situation.notes, situation.run, releases=[release] if release else [])
    text = experiments_page([detail], DAG)
    page = ElementTree.fromstring(text.removeprefix("<!doctype html>\n"))
    assert situation.now in below(page, "Who gets what")
    shown = words_of(page)
    assert [answer for answer in (*situation.coming, *situation.because) if answer not in shown] == [], shown


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_answers_are_written_down(name: str) -> None:
    (row,) = [line for line in WRITTEN_DOWN.splitlines() if line.startswith(f"| {name} | ")]
    assert SITUATIONS[name].now in row
    assert re.split(r"[.:]", SITUATIONS[name].because[0])[0] in row
