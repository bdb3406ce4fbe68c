"""One experiment as a whole: looks, plan, timeline and sentences."""

from __future__ import annotations

import json

import pytest

from airflow_provider_launchdarkly.views import notes
from airflow_provider_launchdarkly.views.airflow_run import Asked, Note
from airflow_provider_launchdarkly.views.model import Question, State, to_json
from airflow_provider_launchdarkly.views.situation import summary_of
from airflow_provider_launchdarkly.views.whole import detail_of, plan_of, policy_of
from support.shown import DAY, START, WAITS, keys, page, run, started, stopped, watched

NOTES = [started(1), started(2, START + 3 * DAY), watched()]


def test_it_says_why_it_waits_and_what_would_end_the_waiting() -> None:
    found = detail_of([*NOTES, watched(9, stage=3)], run(WAITS))
    assert "z is 2.59, and 3.16 is needed" in found.why
    assert found.why.endswith("No guardrail is harmed.")
    assert any(sentence.startswith("Ships") for sentence in found.to_come)
    assert found.policy


def test_a_stage_that_cannot_ship_says_what_follows() -> None:
    found = detail_of(NOTES, run(WAITS))
    assert found.to_come == (
        "Nothing ships in this stage, which ends on day 28.",
        (
            "Rolls back at once if checkout-conversion or page-load-ms (by more than 5 %) gets worse beyond chance, "
            "however early."
        ),
        "Is called invalid if people are not divided as allocated.",
        (
            "When this stage ends and nothing is harmed, half follows, once the change window is open "
            "(09:00-16:00 on mon, tue, Europe/Berlin)."
        ),
    )


def test_a_stage_in_which_nothing_is_judged_says_so() -> None:
    note = watched()
    stages = [{**stage, "gate": "none", "asks": True} for stage in note.body["rollout"]["stages"]]
    body = {**note.body, "policy": None, "rollout": {**note.body["rollout"], "stages": stages, "window": None}}
    assert detail_of([Note(note.task_id, -1, body)], run(WAITS)).to_come == (
        "Nothing is judged in this stage: it ends when its time is over.",
        "When this stage ends and nothing is harmed, half follows, once a person has approved it.",
    )


def test_an_ending_says_why_and_when() -> None:
    found = detail_of([*NOTES, stopped()], run(state="success"))
    assert found.why.startswith("Everyone gets Bold. Bold is 8.0 % better than the baseline on checkout-conversion")
    assert found.summary.since == START + 9 * DAY
    by_hand = stopped()
    body = {**by_hand.body, "looks": [], "ending": None, "why": "the campaign is over"}
    found = detail_of([Note(by_hand.task_id, -1, body)], run(state="success"))
    assert found.why == "Stopped: everyone gets Bold. The campaign is over."


def test_the_plan_ahead_has_its_instants_and_boundaries() -> None:
    planned = plan_of(watched().body, policy_of(watched().body))
    assert [look.number for look in planned] == list(range(1, 29))
    assert planned[8].at == START + 9 * DAY
    ships = [look.boundary for look in planned if look.boundary is not None]
    assert next(look.number for look in planned if look.boundary is not None) == 7
    assert ships == sorted(ships, reverse=True)
    assert all(look.harm_boundary is not None for look in planned)


def test_the_timeline_tells_what_airflow_and_people_did_in_order() -> None:
    question = Question("Ship Bold?", START + 9 * DAY, None, (), ("Approve", "Reject"))
    asked = Asked("rollout.approve", question, chosen=("Approve",), who="ann", answered_at=START + 9 * DAY)
    found = detail_of([*NOTES, stopped()], run(state="success", asked=(asked,)))
    told = [(happening.what, happening.who) for happening in found.timeline]
    assert told[0] == ("stage 1 of 3 started at 10 %", None)
    assert told[1] == ("stage 2 of 3 started at 25 %", None)
    assert ("answered: Approve", "ann") in told
    assert ("stopped: everyone gets Bold", None) in told
    assert not any(happening.ahead for happening in found.timeline)
    assert [happening.at for happening in found.timeline] == sorted(h.at for h in found.timeline if h.at)


def test_the_timeline_tells_that_a_question_was_closed() -> None:
    question = Question("Ship Bold?", START + 9 * DAY, None, (), ("Approve", "Reject"))
    asked = Asked("rollout.approve", question, closed_at=START + 10 * DAY)
    found = detail_of([*NOTES, stopped("rollback", "Classic")], run(state="success", asked=(asked,)))
    assert ("closed without an answer", START + 10 * DAY) in [(each.what, each.at) for each in found.timeline]


def test_a_workers_clock_does_not_put_the_stop_before_the_look_that_led_to_it() -> None:
    output = {**keys(), "winning_treatment": "Bold", "treatments": []}
    slow = notes.stopped(output, at=START - DAY, page=page(None), verdict={"verdict": "ship"})
    watching = watched(9, stage=3)
    ordered = [
        Note("rollout.stop", -1, slow, "2026-03-11T09:00:02"),
        Note("w", -1, watching.body, "2026-03-11T09:00:01"),
    ]
    assert detail_of(ordered, run(state="success")).summary.state is State.SHIPPED


def test_an_ended_rollout_of_which_only_the_stop_is_known_draws_no_ladder() -> None:
    assert summary_of([stopped()], run(state="success")).stages == ()


def test_a_look_that_two_notes_hold_is_shown_once() -> None:
    found = detail_of([*NOTES, watched(9), stopped()], run(state="success"))
    assert [look.number for look in found.looks] == [8, 9]


def test_it_is_plain_json_whatever_the_state() -> None:
    for each, happens in ((NOTES, run(WAITS)), ([stopped()], run(state="success")), (NOTES, run(state="failed"))):
        plain = to_json(detail_of(each, happens))
        assert json.loads(json.dumps(plain, allow_nan=False)) == plain


@pytest.mark.parametrize("policy", [{"rule": "no such rule"}, {"looks": {"cron": "* * * * *"}}, {}])
def test_a_policy_that_cannot_be_read_draws_no_plan(policy: dict[str, object]) -> None:
    note = watched()
    body = {**note.body, "policy": policy, "started_at": None}
    assert isinstance(plan_of(body, policy_of(body)), tuple)
    assert detail_of([Note(note.task_id, -1, body)], run(WAITS)).looks
