"""Each documented channel delivers, as pasted: through the provider's real notifier, to a server on loopback."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from email import message_from_string
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_provider_launchdarkly.notifications.channels import KNOWN
from support.message_servers import http_server, smtp_server
from support.surroundings import REPOSITORY
from unit.cli.conftest import BUTTON, Run

PAGE = (REPOSITORY / "docs" / "how-to" / "notify.md").read_text()
EXAMPLE = re.compile(r"^### ([^\n]+)\n.*?^```yaml\n(.*?)^```\n\n```json\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = {title: (notify, json.loads(connection)) for title, notify, connection in EXAMPLE.findall(PAGE)}
HEADLINE = "Test: rollback: Bold harms checkout-conversion (sample) · button, stage 2 of 2"


@pytest.fixture
def http() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    with http_server() as served:
        yield served


@pytest.fixture
def send(tmp_path: Path, run: Callable[..., Run], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Run]:
    """Send a test message by an example of the page, whose connection is given another address."""

    def sent(title: str, **changes: Any) -> Run:
        notify, connections = EXAMPLES[title]
        for name, connection in connections.items():
            changed = {**connection, **changes, "extra": {**connection.get("extra", {}), **changes.get("extra", {})}}
            monkeypatch.setenv(name, json.dumps(changed))
        monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")  # no database
        file = tmp_path / "button.yaml"
        file.write_text(BUTTON + "".join(f"    {line}\n" for line in notify.splitlines()))
        return run("notify", "--test", file, "--send", "--event", "harm")

    return sent


def test_every_named_channel_has_an_example() -> None:
    shown = {entry["through"] for notify, _ in EXAMPLES.values() for entry in yaml.safe_load(notify)["notify"]}
    assert shown >= set(KNOWN)
    assert "Any other notifier" in EXAMPLES


def test_slack(send: Callable[..., Run], http: tuple[int, list[tuple[str, Any]]]) -> None:
    port, received = http
    sent = send("Slack", extra={"base_url": f"http://127.0.0.1:{port}/api/"})
    assert (sent.code, sent.err) == (0, "")
    ((path, body),) = received
    assert path == "/api/chat.postMessage"
    assert body["channel"] == "#experiments"
    assert body["text"].startswith(f"*{HEADLINE}*\n\n• Who gets what now: Bold 50 %, Classic 50 %")


@pytest.mark.parametrize("title", ["Slack webhook", "Any other notifier"])
def test_a_slack_webhook(title: str, send: Callable[..., Run], http: tuple[int, list[tuple[str, Any]]]) -> None:
    port, received = http
    assert send(title, host=f"http://127.0.0.1:{port}/services").code == 0
    ((path, body),) = received
    assert path == "/services/T00000000/B00000000/XXXXXXXX"
    assert body["text"].startswith(f"*{HEADLINE}*")


def test_email(send: Callable[..., Run]) -> None:
    with smtp_server() as (port, received):
        plain = {"disable_ssl": True, "disable_tls": True}
        assert send("E-mail", host="127.0.0.1", port=port, login=None, password=None, extra=plain).code == 0
    (text,) = received
    mail = message_from_string(text)
    assert str(make_header(decode_header(mail["Subject"]))) == HEADLINE
    assert (mail["From"], mail["To"]) == ("airflow@example.com", "growth@example.com, ops@example.com")
    assert mail["References"].startswith("<launchdarkly-")
    body = mail.get_payload()[0].get_payload(decode=True).decode()  # type: ignore[union-attr, index]
    assert "<dt>Who gets what now</dt><dd>Bold 50 %, Classic 50 %" in body


def test_teams(send: Callable[..., Run], http: tuple[int, list[tuple[str, Any]]]) -> None:
    port, received = http
    assert send("Teams", host=f"http://127.0.0.1:{port}/workflows/id?sig=secret").code == 0
    ((path, body),) = received
    assert path == "/workflows/id?sig=secret"
    card = body["attachments"][0]["content"]
    assert card["type"] == "AdaptiveCard"
    assert card["body"][0]["text"] == HEADLINE
    assert card["body"][1]["facts"][0]["title"] == "Who gets what now"


def test_pagerduty(
    send: Callable[..., Run], http: tuple[int, list[tuple[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    import pagerduty

    port, received = http
    # The client takes no address but https://, and the integration has no other.
    address = property(lambda _: f"http://127.0.0.1:{port}", lambda _, new: None)
    monkeypatch.setattr(pagerduty.EventsApiV2Client, "url", address, raising=False)
    assert send("PagerDuty").code == 0
    ((path, body),) = received
    assert path == "/v2/enqueue"
    assert body["routing_key"] == "integration-key"
    assert body["payload"]["summary"] == HEADLINE
    assert body["payload"]["severity"] == "critical"
    assert body["dedup_key"].startswith("launchdarkly-")


def test_a_connection_that_does_not_exist_is_an_error_with_its_cure(
    run: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("_AIRFLOW_PROCESS_CONTEXT", "client")
    file = tmp_path / "button.yaml"
    file.write_text(f"{BUTTON}    notify:\n      - {{through: slack, connection: nowhere}}\n")
    sent = run("notify", "--test", file, "--send")
    assert sent.code == 1
    assert "notify[0], slack (nowhere): not sent: AirflowNotFoundException" in sent.err
    assert "make it in Airflow, or correct `connection`" in sent.err


def test_the_dry_run_shows_each_event_and_who_takes_it(run: Callable[..., Run], tmp_path: Path) -> None:
    file = tmp_path / "button.yaml"
    file.write_text(f"{BUTTON}    notify:\n      - {{through: slack, events: [harm, ended.ship]}}\n")
    shown = run("notify", "--test", file)
    assert shown.code == 0
    assert "button: harm, told through slack\n    rollback: Bold harms checkout-conversion" in shown.out
    assert "button: ended.rollback, told through no channel" in shown.out
    only = run("notify", "--test", file, "--event", "ended")
    assert "ended.ship" in only.out
    assert "harm," not in only.out
    assert "takes none of these events" in run("notify", "--test", file, "--send", "--event", "drift").out


def test_a_file_that_tells_nobody_and_an_unknown_event_are_errors(run: Callable[..., Run], button: Path) -> None:
    assert "no rollout names a channel; write notify: [{through: slack}]" in run("notify", "--test", button).err
    assert (
        "--event shipped does not exist; write one of asked"
        in run("notify", "--test", button, "--event", "shipped").err
    )
