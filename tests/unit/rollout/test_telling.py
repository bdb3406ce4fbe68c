"""People are told of each event once, in words that say who gets what, and no message can stop a rollout."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.config.lines import LONGEST_LINE
from airflow_provider_launchdarkly.notifications.channels import KNOWN, Channel, ChannelError
from airflow_provider_launchdarkly.notifications.events import Event, Message, is_wanted
from airflow_provider_launchdarkly.notifications.messages import MESSAGES
from airflow_provider_launchdarkly.notifications.sending import send_to_all
from airflow_provider_launchdarkly.rollout.answers import Answer
from airflow_provider_launchdarkly.rollout.news import Happening, message_of
from airflow_provider_launchdarkly.rollout.samples import sample_messages
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.telling import LaunchDarklyLastWords, LaunchDarklyRolloutNotifier, tell
from airflow_provider_launchdarkly.rollout.unwatched import ReleaseLeft, Seen, unwatched
from support.heard import HEARD, PATH
from unit.notifications.test_cards import verdict
from unit.rollout.test_task_group import EXPERIMENT, RAMP, rollout

AT = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


class Store(dict[str, Any]):
    """What Airflow 3.3 keeps for a task through retries and clears."""

    def set(self, key: str, value: Any, *, retention: timedelta) -> None:
        assert retention > timedelta(days=30)  # Airflow's default, which a rollout may outlast
        self[key] = value


class Ti:
    dag_id, task_id, run_id, map_index = "checkout", "rollout.wait", "run-1", -1
    log_url = "http://airflow/dags/checkout/runs/run-1/tasks/rollout.wait"

    def __init__(self, output: Any) -> None:
        self.output = output

    def xcom_pull(self, task_ids: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, -1)
        return self.output


@pytest.fixture(autouse=True)
def nothing_heard() -> None:
    HEARD.clear()


def ramp(**changes: Any) -> Rollout:
    return Rollout.from_json(rollout(stages=RAMP, notify=[{"through": PATH}]) | changes)


def message(event: Event, stage: int | None = 0, /, *, of: Rollout | None = None, **known: Any) -> Message | None:
    return message_of(event, of or ramp(), Happening(stage=stage, at=AT, **known))


def told(event: Event, stage: int | None = 0, /, **known: Any) -> str:
    found = message(event, stage, **known)
    assert found is not None
    return MESSAGES["text"](found)


def test_a_start_says_who_gets_what_and_what_follows_when() -> None:
    text = told(Event.STARTED, output={"changed": True})
    assert text.startswith("Started: button, a tenth (stage 1 of 3): Bold 10 %, Classic 90 %")
    assert "What follows: at 2026-12-03 09:00 UTC, unless harm shows before" in text
    assert "a quarter (stage 2 of 3) starts, Bold 25 %, Classic 75 %" in text


def test_a_stage_that_another_run_started_is_not_dated() -> None:
    assert "2d after its start" in told(Event.STARTED, output={"changed": False})


def test_the_last_stage_says_when_its_first_look_is_and_what_ends_it() -> None:
    text = told(Event.STAGE_ENTERED, 2, output={"changed": True})
    assert "Next stage: button, a half (stage 3 of 3): Bold 50 %, Classic 50 %" in text
    assert re.search(r"first look at 2026-12-\d\d 09:00 UTC; a look may end it: the winner ships", text)
    assert "at 2026-12-15 09:00 UTC at the latest: without a winner everyone gets Classic" in text


def test_harm_is_told_of_a_rollback_alone_with_its_numbers() -> None:
    harmed = verdict(load=230.0)
    text = told(Event.HARM, output=harmed)
    assert text.startswith(f"rollback: {harmed['summary']} · button, a tenth (stage 1 of 3)")
    assert "everyone gets Classic" in text
    assert "page-load-ms (guardrail)" in text
    assert message(Event.HARM, output=verdict()) is None


@pytest.mark.parametrize("reason", ["iteration_replaced", "iteration_stopped", "mismatch"])
def test_drift_is_what_someone_else_did(reason: str) -> None:
    found = message(Event.DRIFT, output={"verdict": "invalid", "reason": reason, "summary": "invalid: it is stopped"})
    assert (found is None) is (reason == "mismatch")


LEFT = {"serves": {"Bold": 50.0}, "served": None, "now": "Iteration 1: as set. It cannot be read.", "do": ["Stop it."]}
OUTCOMES: list[tuple[dict[str, Any], str, str]] = [
    ({"ending": "ship", "winner": {}, "verdict": {"treatment": "Bold"}}, "everyone gets Bold", "over"),
    ({"ending": "rollback", "winner": {"verdict": "rollback"}}, "everyone gets Classic, the baseline", "over"),
    ({"ending": "inconclusive", "winner": "baseline"}, "everyone gets Classic, the baseline", "over"),
    ({"ending": "inconclusive", "winner": None}, "Bold 50 %, Classic 50 %", "watches neither guardrails nor the split"),
    ({"ending": "invalid", "winner": None}, "Bold 50 %, Classic 50 %", "Clear the task that watched"),
    ({"ending": "invalid", "winner": None, "unwatched": LEFT}, "Iteration 1: as set. It cannot be read", "Stop it."),
]  # fmt: skip


@pytest.mark.parametrize(("outcome", "served", "rest"), OUTCOMES)
def test_an_ending_says_what_everyone_is_served_and_whether_it_is_watched(
    outcome: dict[str, Any], served: str, rest: str
) -> None:
    text = told(Event.ENDED, 2, output={"why": "as the plan says", "stage": 3, **outcome})
    assert text.startswith(f"{outcome['ending']}: as the plan says · button, a half (stage 3 of 3)")
    assert served in text
    assert rest in text


def test_what_nobody_watches_says_so_and_what_to_click() -> None:
    text = told(Event.UNWATCHED, 1, error="task rollout.wait failed: the token is refused")
    assert text.startswith("Unwatched: task rollout.wait failed: the token is refused · button, a quarter")
    assert "Who gets what now: what LaunchDarkly shows: it was not read" in text
    assert "watches neither guardrails nor the split" in text
    assert "Clear the task that watched" in text


def test_what_the_task_itself_found_is_told() -> None:
    found = {"why": "The token is refused.", "do": ["Clear `watch`.", "Or stop it."]}
    text = told(Event.UNWATCHED, 1, output=found, error="task rollout.unwatched failed")
    assert text.startswith("Unwatched: The token is refused. · button, a quarter (stage 2 of 3)")
    assert "What you can do: Clear `watch`. Or stop it." in text


def test_a_release_that_nobody_watches_is_told_with_what_runs_and_what_to_click() -> None:
    seen = Seen("LaunchDarkly shows it as in_progress.", release=ReleaseLeft("checkout-button", "r-1", "Bold"))
    found = unwatched(ramp(), "It failed.", experiment_key="button", again="Clear `watch`.", seen=seen).to_json()
    text = told(Event.UNWATCHED, None, output={"event": "unwatched", **found})
    assert "Release r-1: Bold step by step" in text
    assert "LaunchDarkly goes on with the release of its winner" in text
    assert "What you can do: Clear `watch`. Or stop the release of flag checkout-button in LaunchDarkly." in text
    assert "experiment runs on" not in text
    assert "no iteration is running" not in text


def sample_question(**changes: Any) -> str:
    samples = dict(sample_messages(Rollout.from_json(rollout(**changes)), AT))
    return MESSAGES["text"](samples["asked"])


@pytest.mark.parametrize(("otherwise", "then"), [("hold", "goes on as it is"), ("baseline", "everyone gets the base")])
def test_a_question_says_what_each_answer_and_none_does(otherwise: str, then: str) -> None:
    asked = sample_question(approval={"before_ship": True, "otherwise": otherwise}, endings={"refused": "hold"})
    assert asked.startswith("Ship the winner of button to everyone?\n")
    assert "Approve: everyone gets Bold if the results still say so." in asked
    assert "Reject: the rollout ends, the experiment goes on as it is, and no guardrail is watched." in asked
    assert re.search(f"No answer by 2026-12-04 09:00 UTC: .*{then}", asked)


def test_a_question_without_a_winner_says_what_its_own_options_do() -> None:
    asked = sample_question(endings={"inconclusive": "ask", "extension": "7d"})
    assert asked.startswith("button ended without a winner. What now?\n")
    assert "Stop on the baseline: everyone gets Classic." in asked
    assert "Extend: the experiment runs 7d longer." in asked
    assert "Leave it running: the experiment goes on as it is, and no guardrail is watched." in asked
    assert "No answer by 2026-12-04 09:00 UTC: as for “Leave it running”." in asked
    assert "Reject" not in asked


def test_a_question_before_the_first_stage_says_that_nothing_runs() -> None:
    asked = sample_question(stages=[{**RAMP[2], "approval": True}])
    assert asked.startswith("Start a half of button: 50 % get something new?\n")
    assert "Reject: nothing starts, and the rollout ends." in asked


def test_the_message_about_a_question_has_the_answers_of_its_card() -> None:
    """The notifiers of a question are called with the task that asks."""
    ti = Ti(None)
    ti.task = SimpleNamespace(subject="Ship?", offered=(Answer("Approve", "it ships."),))  # type: ignore[attr-defined]
    LaunchDarklyRolloutNotifier(event=Event.ASKED, rollout=ramp(), stage=0).notify({"ti": ti})  # type: ignore[typeddict-item]
    (text,) = HEARD
    assert "What follows: Approve: it ships." in text


@pytest.mark.parametrize("markup", MESSAGES)
def test_names_cannot_break_out_of_a_message(markup: str) -> None:
    name = "<img onerror=x> *{{ conn.x }}* `x`"
    bold = {"variation": "Bold", "name": name}
    evil = ramp(experiment={**EXPERIMENT, "treatments": [EXPERIMENT["treatments"][0], bold]})
    found = message(Event.STARTED, of=evil)
    assert found is not None
    text = MESSAGES[markup](found)
    assert "{{ conn.x }}" in text  # as it is: no template is rendered
    assert (name in text) is (markup == "text")
    assert ("<img" in text.replace(r"\<img", "")) is (markup == "text")


def test_a_headline_is_one_line_in_a_mails_subject_and_an_incidents_summary() -> None:
    found = Message(Event.HARM, "harm\r\nBcc: a@b", "key")
    assert KNOWN["email"].fill(found)["subject"] == KNOWN["pagerduty"].fill(found)["summary"] == "harm Bcc: a@b"


def test_the_key_of_a_message_is_that_of_its_repeats_and_of_nothing_else() -> None:
    one, again, other = (
        message(Event.STARTED, 0, place=place, output={"iteration_id": "it-1"})
        for place in (("d", "r1"), ("d", "r1"), ("d", "r2"))
    )
    assert one is not None
    assert again is not None
    assert other is not None
    assert one.key == again.key != other.key
    assert KNOWN["pagerduty"].fill(one)["dedup_key"] == one.key
    assert one.key in KNOWN["email"].fill(one)["custom_headers"]["References"]


def tell_now(rollout: Rollout, output: Any, event: Event = Event.STARTED, **context: Any) -> None:
    callback: Any = LaunchDarklyRolloutNotifier(event=event, rollout=rollout, stage=0)
    callback.notify({"ti": Ti(output), **context})


def test_a_task_tells_from_its_callback_with_links() -> None:
    tell_now(ramp(), {"changed": True})
    (text,) = HEARD
    assert "Task in Airflow: http://airflow/dags/checkout/runs/run-1/tasks/rollout.wait" in text
    assert "Run in Airflow: http://airflow/dags/checkout/runs/run-1\n" in text + "\n"


@pytest.mark.parametrize("path", ["", "/airflow"])
def test_a_message_leads_to_the_experiments_page_where_airflow_knows_its_address(
    monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setattr(Ti, "log_url", f"http://airflow{path}/dags/checkout/runs/run-1/tasks/rollout.wait")
    tell_now(ramp(), {"changed": True})
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", f"http://airflow{path}")
    tell_now(ramp(), {"changed": True})
    link = f"Experiment in Airflow: http://airflow{path}/dags/checkout/runs/run-1/plugin/launchdarkly-dag-run"
    assert [link in text for text in HEARD] == [False, True]


def test_a_repeat_is_told_once_where_airflow_keeps_a_tasks_state() -> None:
    store = Store()
    for _ in range(3):
        tell_now(ramp(), {"changed": True}, task_state_store=store)
    assert len(HEARD) == 1
    tell_now(ramp(), {"changed": True, "iteration_id": "another"}, task_state_store=store)
    assert len(HEARD) == 2


def test_a_failing_a_missing_and_a_slow_notifier_stop_nothing(caplog: pytest.LogCaptureFixture) -> None:
    found = message(Event.STARTED)
    assert found is not None
    channels = [
        Channel(PATH, arguments={"problem": "Slack is away"}),
        Channel("no.such.Notifier"),
        Channel(PATH, arguments={"seconds": 5.0}),
        Channel(PATH),
    ]
    with caplog.at_level(logging.INFO):
        send_to_all(found, channels, {}, logging.getLogger("task"), longest=0.2)
    assert "RuntimeError: Slack is away. The rollout goes on." in caplog.text
    assert "no.such.Notifier cannot be imported" in caplog.text
    assert "no answer within 0.2 s" in caplog.text
    assert len(HEARD) == 1


def test_what_tells_of_an_unwatched_rollout_counts_stages_from_one() -> None:
    tell_now(ramp(), {"event": "unwatched", "why": "Results are gone.", "stage": 2, "do": []}, Event.UNWATCHED)
    assert HEARD[0].startswith("Unwatched: Results are gone. · button, a quarter (stage 2 of 3)")


@pytest.mark.parametrize(
    ("stage", "line"),
    [
        (None, "Failed. It was not read what people get now: look in LaunchDarkly."),
        (
            1,
            "Failed. This rollout has set: Bold 25 %, Classic 75 %, in a quarter (stage 2 of 3). No guardrail is",
        ),
    ],
)
def test_the_last_line_of_a_failed_task_says_what_people_get(
    stage: int | None, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    failed: Any = LaunchDarklyLastWords(rollout=ramp(), stage=stage)
    failed.notify({"ti": Ti(None)})
    printed = capsys.readouterr().out
    assert line in printed
    assert all(len(text) <= LONGEST_LINE for text in re.findall(r"\[error +\] (.*) \[airflow_prov", printed))


def test_the_last_line_of_a_rollout_that_nobody_watches_says_what_to_do(capsys: pytest.CaptureFixture[str]) -> None:
    found = {"event": "unwatched", "now": "Iteration it-1: 10 % get Bold.", "do": ["Clear `watch`."]}
    last = (tell(ramp(), Event.UNWATCHED) or [None])[-1]
    last.notify({"ti": Ti(found)})
    assert "Unwatched. Iteration it-1: 10 % get Bold. Clear `watch`." in capsys.readouterr().out


def test_a_context_that_cannot_be_read_stops_nothing() -> None:
    LaunchDarklyRolloutNotifier(event="harm", rollout=ramp()).notify({})
    assert HEARD == []


def test_a_channel_takes_the_events_that_it_names() -> None:
    assert is_wanted((), Event.HARM)
    assert is_wanted(("ended.rollback",), Event.ENDED, "rollback")
    assert not is_wanted(("ended.rollback",), Event.ENDED, "ship")
    assert is_wanted(("ended",), Event.ENDED, "ship")
    assert not is_wanted(("ended",), Event.HARM)
    quiet = ramp(notify=[{"through": PATH, "events": ["harm"]}])
    assert tell(quiet, Event.STARTED) is None
    assert tell(quiet, Event.STARTED, also=("their own",)) == ["their own"]
    assert tell(quiet, Event.HARM) is not None


@pytest.mark.parametrize(
    ("channel", "error"),
    [
        (Channel("airflow.providers.slack.nowhere.Slack"), "cannot be imported"),
        (Channel("datetime.datetime"), "is no notifier"),
        (Channel(PATH, arguments={"chanel": "#a"}), "refuses its arguments"),
    ],
)
def test_a_channel_that_cannot_be_used_says_the_cure(channel: Channel, error: str) -> None:
    found = message(Event.STARTED)
    assert found is not None
    with pytest.raises(ChannelError, match=error):
        channel.notifier(found)


@pytest.mark.parametrize("name", KNOWN)
def test_a_named_channel_whose_package_is_missing_names_the_package(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(module: str) -> Any:
        raise ModuleNotFoundError(f"No module named {module!r}")

    monkeypatch.setattr("airflow_provider_launchdarkly.notifications.channels.import_module", missing)
    found = message(Event.STARTED)
    assert found is not None
    with pytest.raises(ChannelError, match=f"install {KNOWN[name].package} where tasks run"):
        Channel(name).notifier(found)


@pytest.mark.parametrize(
    ("notify", "error"),
    [
        ({"through": "pigeon"}, "'pigeon' is no channel; write one of slack"),
        ({"through": "slack", "events": ["shipped"]}, "'shipped' is no event; write one of asked"),
        ({"through": "email"}, "to is missing; email needs it"),
        ({"through": "slack", "arguments": {"text": "hello"}}, "text is filled in for slack; leave it out"),
        ({"through": "slack", "arguments": {"slack_conn_id": "x"}}, "use `connection`"),
        ({"through": "pagerduty", "arguments": {"integration_key": "x"}}, "put it into the Airflow connection"),
        ({"through": "a.b.Pager", "connection": "pager"}, "write it in `arguments` for an import path"),
        ({"through": "slack", "field": "body"}, "field and markup are for import paths"),
        ({"through": "slack", "chanel": "#a"}, "chanel"),
    ],
)
def test_a_wrong_channel_is_refused_with_its_field_and_cure(notify: dict[str, Any], error: str) -> None:
    with pytest.raises(ValueError, match=re.escape(error)):
        ramp(notify=[notify])
