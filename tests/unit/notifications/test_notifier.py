"""The notifier: it finds the verdict, makes the card, and hands it on, in a task's callback or a deadline's."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import BaseNotifier
from typing_extensions import override

from airflow_provider_launchdarkly.notifications.notifier import LaunchDarklyNotifier
from unit.notifications.test_cards import verdict

pytestmark = pytest.mark.usefixtures("connection")

SENT: list[dict[str, Any]] = []


class Channel(BaseNotifier):
    """Another provider's notifier."""

    template_fields = ("text", "channel")

    def __init__(self, text: str = "", channel: str = "#all") -> None:
        super().__init__()
        self.text = text
        self.channel = channel

    @override
    def notify(self, context: Any) -> None:
        SENT.append({"text": self.text, "channel": self.channel})

    @override
    async def async_notify(self, context: Any) -> None:
        self.notify(context)


def send(text: str, *, to: str) -> None:
    SENT.append({"text": text, "to": to})


class TaskInstance:
    dag_id, task_id, run_id, state = "rollout", "wait", "run-1", "success"

    def __init__(self, **outputs: Any) -> None:
        self.outputs = outputs

    def xcom_pull(self, task_ids: str) -> Any:
        return self.outputs.get(task_ids)


def context(**changes: Any) -> Any:
    ti = TaskInstance(wait=verdict())
    return {"ti": ti, "dag_run": ti, "where": "#experiments"} | changes


@pytest.fixture(autouse=True)
def nothing_sent() -> None:
    SENT.clear()


def test_the_verdict_of_the_tasks_own_output_goes_through_another_notifier() -> None:
    LaunchDarklyNotifier(through=Channel, arguments={"channel": "{{ where }}"}, markup="slack")(context())
    (sent,) = SENT
    assert sent["channel"] == "#experiments"
    assert sent["text"].startswith("*Ship Bold · button · demo/production*")


def test_the_card_links_to_launchdarkly(emulator: Any) -> None:
    LaunchDarklyNotifier(through=Channel, markup="markdown")(context())
    assert f"[Open in LaunchDarkly](<{emulator.url}/projects/demo/experiments/button" in SENT[0]["text"]


def test_a_card_without_a_connection_goes_out_without_its_link() -> None:
    LaunchDarklyNotifier(through=Channel, launchdarkly_conn_id="no_such_connection")(context())
    assert "Ship Bold" in SENT[0]["text"]
    assert "http" not in SENT[0]["text"]


def test_the_verdict_of_another_task_goes_to_any_callable() -> None:
    ti = TaskInstance(judge=verdict())
    LaunchDarklyNotifier(task_id="judge", through=send, arguments={"to": "team"})(context(ti=ti))
    assert SENT[0]["to"] == "team"
    assert SENT[0]["text"].startswith("Ship Bold")


def test_what_people_wrote_in_launchdarkly_is_never_a_template() -> None:
    ti = TaskInstance(wait=verdict(treatment="{{ 1/0 }}"))
    LaunchDarklyNotifier(through=Channel)(context(ti=ti))
    assert "Ship {{ 1/0 }}" in SENT[0]["text"]


def test_a_task_that_failed_before_a_verdict_says_so() -> None:
    LaunchDarklyNotifier(through=Channel)(context(ti=TaskInstance(), exception=RuntimeError("no results")))
    assert SENT[0]["text"] == "rollout, run run-1, task wait failed: no results"


def test_a_missed_deadline_is_told_from_the_triggerer() -> None:
    missed: Any = {
        "dag_run": {"dag_id": "rollout", "dag_run_id": "run-1", "state": "running"},
        "deadline": {"id": "d", "deadline_time": "2026-02-01T09:00:00Z"},
    }
    path = f"{Channel.__module__}.{Channel.__qualname__}"

    async def deadline() -> None:
        await LaunchDarklyNotifier(through=path, context=missed)

    asyncio.run(deadline())
    assert SENT[0]["text"] == "Deadline missed: rollout, run run-1 was to be finished by 2026-02-01T09:00:00Z"


def test_without_a_sender_the_card_is_logged(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    notifier = LaunchDarklyNotifier()
    with caplog.at_level(logging.INFO, logger=notifier.log.name):
        notifier(context())
    assert "Ship Bold" in caplog.text + capsys.readouterr().out  # by Airflow's version, one or the other


def test_a_field_that_the_other_notifier_does_not_have_is_an_error() -> None:
    with pytest.raises(TypeError, match="html_content"):
        LaunchDarklyNotifier(through=Channel, field="html_content", markup="html")(context())


def test_an_unknown_markup_is_refused_when_the_dag_file_is_parsed() -> None:
    with pytest.raises(ValueError, match="write one of text, markdown, slack, html"):
        LaunchDarklyNotifier(markup="pdf")


def test_airflows_own_mail_notifier_sends_the_card_as_html(monkeypatch: pytest.MonkeyPatch) -> None:
    smtp = pytest.importorskip("airflow.providers.smtp.notifications.smtp")
    mailed: list[str] = []
    monkeypatch.setattr(smtp.SmtpNotifier, "notify", lambda self, context: mailed.append(self.html_content))
    LaunchDarklyNotifier(
        through=smtp.SmtpNotifier,
        field="html_content",
        markup="html",
        arguments={"to": "team@example.com", "from_email": "airflow@example.com", "subject": "Decided"},
    )(context())
    assert "<h3>Ship Bold" in mailed[0]


def test_what_a_person_has_to_do_in_launchdarkly_is_told_as_it_is() -> None:
    told = {
        "why": "Release r-1 of flag button waits for a person: waiting_phase_ended",
        "now": "10 % get 'bold', and the others 'classic'",
        "follows": "Nothing by itself.",
        "do": ["Advance it, or stop it, in LaunchDarkly: https://app.example.com/flags/button"],
    }
    ti: Any = TaskInstance()
    ti.task = type("Task", (), {"handed_over": told})()
    assert LaunchDarklyNotifier().message(context(ti=ti)).splitlines() == [
        "Release r-1 of flag button waits for a person: waiting_phase_ended.",
        "Who gets what now: 10 % get 'bold', and the others 'classic'.",
        "Nothing by itself.",
        "Advance it, or stop it, in LaunchDarkly: https://app.example.com/flags/button",
    ]


@pytest.mark.parametrize("handed_over", [None, True, False])
def test_a_task_that_hands_nothing_over_tells_its_verdict(handed_over: bool | None) -> None:
    made = context()
    made["ti"].task = type("Task", (), {"handed_over": handed_over})()
    assert LaunchDarklyNotifier().message(made) == LaunchDarklyNotifier().message(context())
