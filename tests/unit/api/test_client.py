"""One call on the wire: what is sent, what is returned, what each answer means, and when it is sent again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.endpoints import Request
from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    ApprovalRequiredError,
    AuthenticationError,
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    TransportError,
    UnclearOutcomeError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.api.http.client import IN_FLIGHT, AsyncLaunchDarklyClient
from airflow_provider_launchdarkly.api.http.procedure import Sleep
from airflow_provider_launchdarkly.api.models import StartIteration
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, TOKEN, Connect, Driver, Script, answer

READ = endpoints.get_experiment(ENV, "bold")
WRITE = endpoints.patch_experiment(ENV, "bold", [StartIteration()])
BOLD = {"key": "bold"}


def test_a_call_sends_token_version_and_user_agent_once_each(connect: Connect) -> None:
    script = Script(answer(body=BOLD))
    connect(script, user_agent="airflow-provider-launchdarkly/1.2 test").send(READ)
    (sent,) = script.seen
    headers = [(name.lower(), value) for name, value in sent.headers.multi_items()]
    assert headers.count(("authorization", TOKEN)) == 1
    assert headers.count(("ld-api-version", "beta")) == 1
    assert headers.count(("user-agent", "airflow-provider-launchdarkly/1.2 test")) == 1
    assert "content-type" not in dict(headers)
    assert str(sent.url) == "https://launchdarkly.test/api/v2/projects/demo/environments/production/experiments/bold"


def test_a_semantic_patch_carries_its_content_type_and_compact_json(connect: Connect) -> None:
    script = Script(answer(body=BOLD))
    connect(script).send(WRITE)
    (sent,) = script.seen
    assert sent.headers["content-type"] == "application/json; domain-model=launchdarkly.semanticpatch"
    assert sent.content == b'{"instructions":[{"kind":"startIteration"}]}'


def test_the_version_of_experiments_is_the_clients_and_of_metric_groups_always_beta(connect: Connect) -> None:
    script = Script(answer(body=BOLD))
    driver = connect(script, experiments_api_version="20240415")
    driver.send(READ)
    driver.send(endpoints.get_metric_group("demo", "g"))
    assert [sent.headers["ld-api-version"] for sent in script.seen] == ["20240415", "beta"]


@pytest.mark.parametrize("key", ["a/b", "50%", "%2F", "a b", "ключ", "a+b?c#d"])
def test_an_encoded_key_arrives_as_it_was_given(connect: Connect, key: str) -> None:
    script = Script(answer(body=BOLD))
    connect(script).send(endpoints.get_experiment(ENV, key))
    raw = script.seen[0].url.raw_path.decode().rpartition("/")[2]
    assert httpx.URL(f"http://x/?k={raw}").params["k"] == key.replace("+", "+")


def test_query_parameters_are_encoded(connect: Connect) -> None:
    script = Script(answer(body={"items": []}))
    connect(script).send(endpoints.list_projects(filters="tags:a+b c"))
    assert script.seen[0].url.params["filter"] == "tags:a+b c"
    assert b"%2B" in script.seen[0].url.query


def test_a_gateways_path_comes_before_the_apis(connect: Connect) -> None:
    script = Script(answer(body=BOLD))
    connect(script, url="https://gateway.test/ld").send(READ)
    assert script.seen[0].url.path.startswith("/ld/api/v2/projects/demo/")


def test_an_answer_carries_the_servers_time_and_not_the_workers(connect: Connect) -> None:
    got = connect(Script(answer(body=BOLD))).send(READ)
    assert got.server_time == datetime(2026, 1, 5, 9, tzinfo=UTC)
    assert (got.value.key, got.status) == ("bold", 200)


def test_an_observer_sees_each_answer_as_it_came_refusals_and_retries_included(connect: Connect) -> None:
    seen: list[tuple[str, int, str | None]] = []
    script = Script(answer(500), httpx.Response(200, json=BOLD, headers={"x-ratelimit-route-remaining": "4"}))
    connect(
        script,
        observe=lambda request, response: seen.append(
            (request.operation, response.status, response.headers.get("x-ratelimit-route-remaining"))
        ),
    ).send(READ)
    assert seen == [("get_experiment", 500, None), ("get_experiment", 200, "4")]


@pytest.mark.parametrize("date", [None, "", "yesterday"])
def test_an_answer_without_a_date_is_dated_here(connect: Connect, date: str | None) -> None:
    headers = {} if date is None else {"date": date}
    got = connect(Script(httpx.Response(200, json=BOLD, headers=headers))).send(READ)
    assert abs(got.server_time - datetime.now(UTC)) < timedelta(minutes=1)


def test_a_date_in_another_zone_is_the_same_time(connect: Connect) -> None:
    got = connect(Script(answer(body=BOLD, date="Mon, 05 Jan 2026 10:00:00 +0100"))).send(READ)
    assert got.server_time == datetime(2026, 1, 5, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("status", "message", "kind"),
    [
        (400, "bad", InvalidRequestError),
        (422, "bad", InvalidRequestError),
        (401, "invalid access token", AuthenticationError),
        (403, "access denied", PermissionDeniedError),
        (403, "approval is required", ApprovalRequiredError),
        (405, "Approval is required", ApprovalRequiredError),
        (405, "method not allowed", ApiError),
        (404, "unknown", NotFoundError),
        (409, "optimistic lock", ConflictError),
        (410, "gone", ApiError),
        (418, "teapot", ApiError),
    ],
)
@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_each_refusal_is_the_error_that_says_what_to_do(
    connect: Connect, request_: Request[Any], status: int, message: str, kind: type[ApiError]
) -> None:
    script = Script(answer(status, {"code": "the_code", "message": message, "id": "support-1"}))
    with pytest.raises(kind) as refused:
        connect(script).send(request_)
    error = refused.value
    assert type(error) is kind
    assert (error.status, error.code, error.message, error.request_id) == (status, "the_code", message, "support-1")
    assert (error.operation, error.method) == (request_.operation, request_.method)
    assert error.path == "/api/v2/projects/demo/environments/production/experiments/bold"
    for part in (str(status), "the_code", message, "support-1", error.path):
        assert part in str(error)
    assert len(script.seen) == 1


def test_a_401_says_that_it_may_be_the_token_or_its_permission(connect: Connect) -> None:
    with pytest.raises(AuthenticationError, match="wrong or expired, or it has no permission"):
        connect(Script(answer(401))).send(READ)


def test_a_403_without_the_beta_header_says_so(connect: Connect) -> None:
    driver = connect(Script(answer(403)), experiments_api_version="20240415")
    with pytest.raises(PermissionDeniedError, match="set experiments_api_version to 'beta'"):
        driver.send(READ)


def test_a_403_with_the_beta_header_speaks_of_the_role(connect: Connect) -> None:
    with pytest.raises(PermissionDeniedError, match="role does not allow it"):
        connect(Script(answer(403))).send(READ)


@pytest.mark.parametrize("body", [b"", b"<html>Forbidden</html>", b'{"code": null}', b"[]", b"\xff\xfe"])
def test_a_refusal_without_launchdarklys_body_is_still_that_refusal(connect: Connect, body: bytes) -> None:
    with pytest.raises(NotFoundError) as refused:
        connect(Script(httpx.Response(404, content=body))).send(READ)
    assert (refused.value.code, refused.value.message, refused.value.request_id) == ("", "", None)


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_read_outlives_a_server_that_stumbles(connect: Connect, status: int) -> None:
    script = Script(answer(status), answer(status), answer(body=BOLD))
    driver = connect(script)
    assert driver.send(READ).value.key == "bold"
    assert driver.time.waits == [0.25, 0.5]


BROKEN = [
    httpx.ReadTimeout("read timed out"),
    httpx.WriteTimeout("write timed out"),
    httpx.ReadError("reset by peer"),
    httpx.WriteError("broken pipe"),
    httpx.RemoteProtocolError("server disconnected"),
    httpx.DecodingError("bad gzip"),
]
NEVER_SENT = [
    httpx.ConnectError("connection refused"),
    httpx.ConnectTimeout("connect timed out"),
    httpx.PoolTimeout("no free connection"),
    httpx.ProxyError("proxy refused"),
]


@pytest.mark.parametrize("failure", [*BROKEN, *NEVER_SENT], ids=lambda failure: type(failure).__name__)
def test_a_read_outlives_a_connection_that_fails(connect: Connect, failure: Exception) -> None:
    script = Script(failure, answer(body=BOLD))
    assert connect(script).send(READ).value.key == "bold"


@pytest.mark.parametrize("failure", NEVER_SENT, ids=lambda failure: type(failure).__name__)
def test_a_write_that_was_never_sent_is_sent_again(connect: Connect, failure: Exception) -> None:
    script = Script(failure, answer(body=BOLD))
    assert connect(script).send(WRITE).value.key == "bold"
    assert len(script.seen) == 2


@pytest.mark.parametrize(
    "step",
    [*BROKEN, answer(500), answer(503, retry_after="1"), httpx.Response(200, content=b'{"key": "bo')],
    ids=lambda step: type(step).__name__,
)
def test_a_write_whose_outcome_is_unknown_is_sent_once(connect: Connect, step: Any) -> None:
    script = Script(step)
    with pytest.raises(UnclearOutcomeError, match="whether it took effect is unknown"):
        connect(script).send(WRITE)
    assert len(script.seen) == 1


@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_host_that_is_never_reached_is_a_transport_error_within_the_budget(
    connect: Connect, request_: Request[Any]
) -> None:
    driver = connect(Script(httpx.ConnectError("connection refused")), retry_budget=20.0)
    with pytest.raises(TransportError, match="connection refused"):
        driver.send(request_)
    assert 10.0 < sum(driver.time.waits) <= 20.0


def test_a_server_that_never_recovers_is_a_server_error_within_the_budget(connect: Connect) -> None:
    driver = connect(Script(answer(500)), retry_budget=20.0)
    with pytest.raises(ServerError):
        driver.send(READ)
    assert sum(driver.time.waits) <= 20.0


def test_no_budget_is_no_retry(connect: Connect) -> None:
    driver = connect(Script(answer(500)), retry_budget=0.0)
    with pytest.raises(ServerError):
        driver.send(READ)
    assert driver.time.waits == []


def test_a_certificate_that_is_not_trusted_is_not_tried_again(connect: Connect) -> None:
    script = Script(httpx.ConnectError("[SSL: CERTIFICATE_VERIFY_FAILED] self-signed certificate"))
    with pytest.raises(TransportError, match="set ca_bundle in the connection's extra"):
        connect(script).send(READ)
    assert len(script.seen) == 1


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_https_to_a_port_that_serves_plain_http_is_told_at_once(emulator: EmulatorServer, kind: str) -> None:
    driver = Driver(kind, emulator.url.replace("http://", "https://"), TOKEN)
    with pytest.raises(TransportError, match="the server does not speak TLS there: base_url needs the port"):
        driver.send(READ)
    driver.close()
    assert driver.time.waits == []
    assert emulator.requests() == []


def test_a_read_cut_short_is_asked_for_again(connect: Connect) -> None:
    cut = httpx.Response(200, content=b'{"key": "bo', headers={"content-type": "application/json"})
    assert connect(Script(cut, answer(body=BOLD))).send(READ).value.key == "bold"


def test_a_web_page_in_place_of_an_answer_is_told_apart(connect: Connect) -> None:
    page = httpx.Response(200, content=b"<html>Sign in</html>", headers={"content-type": "text/html; charset=utf-8"})
    driver = connect(Script(page))
    with pytest.raises(UnexpectedResponseError, match="text/html, not JSON") as strange:
        driver.send(READ)
    assert (strange.value.status, driver.time.waits) == (200, [])


@pytest.mark.parametrize("body", [[], "text", {"name": "no key"}, {"key": "bold", "currentIteration": 5}])
def test_json_of_another_shape_is_told_apart(connect: Connect, body: Any) -> None:
    script = Script(httpx.Response(200, json=body))
    with pytest.raises(UnexpectedResponseError, match="body that cannot be read"):
        connect(script).send(READ)
    assert len(script.seen) == 1


@pytest.mark.parametrize("target", ["https://evil.test/steal", "//evil.test/x", "/elsewhere", ""])
@pytest.mark.parametrize("request_", [READ, WRITE], ids=["read", "write"])
def test_a_redirect_is_never_followed(connect: Connect, request_: Request[Any], target: str) -> None:
    script = Script(httpx.Response(302, headers={"location": target}))
    with pytest.raises(UnexpectedResponseError, match="Redirects are not followed"):
        connect(script).send(request_)
    assert len(script.seen) == 1


def test_a_procedure_is_sent_answers_and_its_return_is_the_result(connect: Connect) -> None:
    def procedure() -> Any:
        first = yield READ
        second = yield READ
        return first.value.key, second.status

    assert connect(Script(answer(body=BOLD))).run(procedure()) == ("bold", 200)


def test_an_error_is_thrown_in_where_the_procedure_waits(connect: Connect) -> None:
    def procedure() -> Any:
        try:
            yield READ
        except NotFoundError:
            again = yield READ
            return again.value.key

    assert connect(Script(answer(404), answer(body=BOLD))).run(procedure()) == "bold"


def test_an_error_that_the_procedure_does_not_expect_ends_it(connect: Connect) -> None:
    closed: list[bool] = []

    def procedure() -> Any:
        try:
            yield READ
        finally:
            closed.append(True)

    with pytest.raises(NotFoundError):
        connect(Script(answer(404))).run(procedure())
    assert closed == [True]


def test_a_procedure_may_pause(connect: Connect) -> None:
    def procedure() -> Any:
        got = yield Sleep(7.0, "waiting for a test")
        return got

    driver = connect(Script(answer()))
    assert driver.run(procedure()) is None
    assert driver.time.waits == [7.0]


def test_a_task_that_is_killed_while_it_waits_leaves_the_procedure_closed(connect: Connect) -> None:
    closed: list[bool] = []

    class Killed(BaseException):
        pass

    def procedure() -> Any:
        try:
            yield Sleep(1.0, "long")
        finally:
            closed.append(True)

    def killed(_seconds: float) -> None:
        raise Killed

    async def akilled(_seconds: float) -> None:
        raise Killed

    driver = connect(Script(answer()))
    driver.client._sleep = akilled if isinstance(driver.client, AsyncLaunchDarklyClient) else killed
    with pytest.raises(Killed):
        driver.run(procedure())
    assert closed == [True]


def test_a_client_is_a_context_manager() -> None:
    async def live() -> str:
        async with AsyncLaunchDarklyClient(
            "https://launchdarkly.test", TOKEN, transport=httpx.MockTransport(Script(answer(body=BOLD)))
        ) as client:
            return (await client.send(READ)).value.key

    assert asyncio.run(live()) == "bold"


def test_at_most_four_requests_are_in_flight_however_many_wait() -> None:
    under_way, most = 0, 0

    async def slow(_request: httpx.Request) -> httpx.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1
        return answer(body=BOLD)

    async def live() -> None:
        async with AsyncLaunchDarklyClient(
            "https://launchdarkly.test", TOKEN, transport=httpx.MockTransport(slow)
        ) as client:
            await asyncio.gather(*(client.send(READ) for _ in range(100)))

    asyncio.run(live())
    assert most == IN_FLIGHT == 4


def test_a_caller_that_waits_holds_no_place_in_flight() -> None:
    """Five callers sleep out a 429; a sixth goes through meanwhile."""
    order: list[str] = []

    def reply(request: httpx.Request) -> httpx.Response:
        order.append(request.url.path.rpartition("/")[2])
        return answer(503) if order.count("slow") <= 5 and order[-1] == "slow" else answer(body=BOLD)

    async def live() -> None:
        asleep, woken, sleepers = asyncio.Event(), asyncio.Event(), 0

        async def sleep(_seconds: float) -> None:
            nonlocal sleepers
            sleepers += 1
            if sleepers == 5:
                asleep.set()
            await woken.wait()

        async with AsyncLaunchDarklyClient(
            "https://launchdarkly.test", TOKEN, transport=httpx.MockTransport(reply), sleep=sleep
        ) as client:
            slow = [asyncio.create_task(client.send(endpoints.get_experiment(ENV, "slow"))) for _ in range(5)]
            await asyncio.wait_for(asleep.wait(), timeout=10)
            await client.send(endpoints.get_experiment(ENV, "quick"))
            woken.set()
            await asyncio.gather(*slow)

    asyncio.run(live())
    assert order[:6] == ["slow"] * 5 + ["quick"]


def test_what_launchdarkly_says_is_quoted_on_one_line_and_not_without_end(connect: Connect) -> None:
    body = {"code": "x\r\nInjected: line", "message": "m" * 10_000}
    with pytest.raises(InvalidRequestError) as refused:
        connect(Script(answer(400, body))).send(READ)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_a_driver_that_answers_with_nothing_is_a_mistake_of_ours(connect: Connect) -> None:
    driver: Driver = connect(Script(answer()))
    dialogue = driver.client._exchange.send(READ)
    next(dialogue)
    with pytest.raises(RuntimeError, match="sent a request and returned no reply"):
        dialogue.send(None)
