"""Answers with impossible dates, redirects, links and fields: a named error, and the read-back after a write."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    Difference,
    FieldsNotAppliedError,
    LaunchDarklyError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.http.dates import read_http_date
from airflow_provider_launchdarkly.api.http.procedure import Procedure
from airflow_provider_launchdarkly.api.http.responses import Redaction
from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, RandomizationUnitInput, StartIteration
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, TOKEN, Connect, Script, answer, experiment, relay
from .test_mutated_answers import ADDRESSES, DATES

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])


@pytest.mark.parametrize("date", [*DATES, "Thu, 01 Jan 9999 00:00:00 GMT", "Thu, 01 Jan 1970 00:00:00 GMT"])
@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_an_impossible_date_is_none(connect: Connect, request_: Any, date: str) -> None:
    before = datetime.now(UTC)
    response = connect(Script(answer(body={"key": "bold"}, date=date))).send(request_)
    assert response.value.key == "bold"
    assert before <= response.server_time <= datetime.now(UTC)


def test_the_three_formats_of_a_date_are_read() -> None:
    meant = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
    for text in ("Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"):
        assert read_http_date(text) == meant


@pytest.mark.parametrize("date", DATES)
def test_an_impossible_date_to_wait_for_is_no_wait(connect: Connect, date: str) -> None:
    driver = connect(Script(answer(429, retry_after=date), answer(body={"key": "bold"})))
    assert driver.send(READ).value.key == "bold"
    assert sum(driver.time.waits) < 2.0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", [text for text in ADDRESSES if text.isascii()])
@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_redirect_is_an_error_wherever_it_leads(connect: Connect, request_: Any, location: str, status: int) -> None:
    script = Script(answer(status, location=location))
    with pytest.raises(UnexpectedResponseError, match="was redirected to") as failed:
        connect(script).send(request_)
    assert len(script.seen) == 1
    assert TOKEN not in str(failed.value)


@pytest.mark.parametrize("href", [text for text in ADDRESSES if not text.startswith("/api/v2/%")])
def test_a_next_link_that_is_no_path_of_the_api_is_not_followed(connect: Connect, href: str) -> None:
    page = {"items": [{"key": "a"}], "_links": {"next": {"href": href}}}
    script = Script(answer(body=page))
    with pytest.raises(UnexpectedResponseError, match="as its next page") as failed:
        connect(script).pages(endpoints.list_metrics("demo"))
    assert len(script.seen) == 1
    assert TOKEN not in str(failed.value)


def test_a_write_whose_answer_has_an_impossible_date_and_redirect_is_confirmed(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    inner = relay(emulator, lambda _body: None)

    def reply(request: httpx.Request) -> httpx.Response:
        response = inner(request)
        response.headers["date"] = DATES[0]
        response.headers["location"] = "com.corp.sso:login"
        return response

    driver = connect(reply, url=emulator.url)
    made = driver.run(writes.create_experiment(ENV, experiment(flag, key="dated")))
    assert made.experiment.key == "dated"


def test_a_randomization_unit_without_a_name_is_told_before_anything_is_written(connect: Connect) -> None:
    script = Script(answer(body={"randomizationUnits": [{"default": True}, {"randomizationUnit": "user"}]}))
    wanted = [RandomizationUnitInput(randomization_unit="org", default=True)]
    with pytest.raises(UnexpectedResponseError, match="a randomization unit without a name"):
        connect(script).run(writes.merge_randomization_units("demo", wanted))
    assert [request.method for request in script.seen] == ["GET"]


def test_a_write_whose_answer_cannot_be_compared_is_read_back(connect: Connect) -> None:
    def read() -> Procedure[Experiment]:
        response = yield READ
        found: Experiment = response.value
        return found

    def confirmed(found: Experiment, _written: Written[Experiment]) -> Experiment | None:
        return found if found.iterations[0].status == "running" else None

    desired = DesiredState(
        what="it runs",
        read=read,
        reached=lambda _found: None,
        write=lambda _found: WRITE,
        confirmed=confirmed,
        unconfirmed=lambda _found, _written: LaunchDarklyError("it does not run"),
    )
    running = {"key": "bold", "currentIteration": {"status": "running"}}
    script = Script(answer(body={"key": "bold"}), answer(body={"key": "bold"}), answer(body=running))
    assert connect(script).run(ensure(desired)).changed
    assert [request.method for request in script.seen] == ["GET", "PATCH", "GET"]


@pytest.mark.parametrize("error", [ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError])
def test_what_an_answer_makes_a_procedure_raise_is_an_error_of_the_client(
    connect: Connect, error: type[Exception]
) -> None:
    def procedure() -> Procedure[None]:
        yield READ
        raise error(TOKEN)

    with pytest.raises(UnexpectedResponseError, match="the response to get_experiment") as failed:
        connect(Script(answer(body={"key": "bold"}))).run(procedure())
    assert failed.value.__suppress_context__


def test_what_a_procedure_raises_before_any_answer_is_left_alone(connect: Connect) -> None:
    def procedure() -> Procedure[None]:
        raise TypeError("a wrong argument")
        yield READ

    with pytest.raises(TypeError, match="a wrong argument"):
        connect(Script(answer())).run(procedure())


def test_fields_that_were_not_applied_are_told_without_the_token(
    connect: Connect, emulator: EmulatorServer, flag: FeatureFlag
) -> None:
    def change(body: dict[str, Any]) -> None:
        if body.get("key") == "bold":
            body["description"] = f"{TOKEN} was here"

    driver = connect(relay(emulator, change), url=emulator.url)
    with pytest.raises(LaunchDarklyError) as failed:
        driver.run(writes.create_experiment(ENV, experiment(flag, description="mine")))
    assert "was here" in str(failed.value)
    assert TOKEN not in str(failed.value) + repr(vars(failed.value))


def test_redaction_reaches_every_part_of_an_error() -> None:
    found = {TOKEN: [TOKEN, 1, None], "set": {TOKEN}}
    error = FieldsNotAppliedError(json.dumps(TOKEN), differences=(Difference("f", TOKEN, found),))
    error.add_note(TOKEN)
    cleaned = Redaction(TOKEN).clean(error)
    assert cleaned is error
    assert TOKEN not in f"{error!r} {vars(error)}"
    assert cleaned.differences[0].found == {"***": ["***", 1, None], "set": "{'***'}"}
