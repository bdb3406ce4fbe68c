"""Targets whose connections, or another name of a rule, lead to one place: refused before a write."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.config.problems import field_name
from airflow_provider_launchdarkly.rollout.dag import rollout_dag
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.wave_places import Spot, shared_now
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.promotions import PromotionRunner, changed_in, make_true
from support.surroundings import CONNECTION, connection_json
from support.waves import ROLLOUT, an_environment_for_each_target

BASE = {name: value for name, value in ROLLOUT.items() if name not in {"targets", "waves"}}
SECOND = "AIRFLOW_CONN_SECOND"

# Connections: token, default project, default environment. Two tokens of account `a`, one of account `b`.
CONNECTIONS = {
    "one": ("a-1", "demo", "production"),
    "two": ("a-2", "demo", "test"),
    "bare": ("a-1", None, None),
    "other": ("b-1", "demo", "production"),
}
RULES = {"fallthrough": "fallthrough", "Beta users": "id-1", "id-1": "id-1", "id-2": "id-2"}
FLAG = {
    "key": "f",
    "environments": {"": {"rules": [{"_id": "id-1", "description": "Beta users"}, {"_id": "id-2"}]}},
}


class Written:
    """Connections as written above, and an account that has the flag in every environment."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()

    def spot(self, rollout: Rollout) -> Spot:
        token, project, environment = CONNECTIONS[rollout.connection]
        project, environment = rollout.project or project, rollout.environment or environment
        if project is None or environment is None:
            raise ConfigurationError("no project is named")
        return Spot(ClientSettings("https://ld.test", token), EnvironmentRef(project, environment))

    def run(self, rollout: Rollout, work: Any) -> Any:
        request = next(work)
        self.asked[request.operation] += 1
        answer: Any = {"accountId": CONNECTIONS[rollout.connection][0][0]}
        if request.operation == "get_flag":
            [(_, environment)] = request.query
            answer = FLAG | {"environments": {environment: FLAG["environments"][""]}}  # type: ignore[index]
        try:
            work.send(SimpleNamespace(value=request.response_model.model_validate(answer)))
        except StopIteration as stop:
            return stop.value
        raise AssertionError(f"{request.operation} was not the last")


targets = st.lists(
    st.fixed_dictionaries(
        {
            "connection": st.sampled_from(sorted(CONNECTIONS)),
            "project": st.sampled_from([None, "demo", "shop"]),
            "environment": st.sampled_from([None, "production", "test"]),
            "rule": st.sampled_from(sorted(RULES)),
            "flag": st.sampled_from(["f", "g"]),
        }
    ),
    min_size=2,
    max_size=6,
)


def as_rollouts(drawn: list[dict[str, Any]], **changes: Any) -> dict[str, Rollout]:
    return {
        f"t{number}": Rollout.from_json(
            {
                **BASE,
                **changes,
                **{name: each[name] for name in ("connection", "project", "environment")},
                "experiment": {
                    **BASE["experiment"],
                    "key": f"e{number}",
                    "flag": each["flag"],
                    "rule": each["rule"],
                },
            }
        )
        for number, each in enumerate(drawn)
    }


def really(each: dict[str, Any]) -> tuple[Any, ...] | None:
    token, project, environment = CONNECTIONS[each["connection"]]
    place = (token[0], each["project"] or project, each["environment"] or environment)
    return None if None in place else (*place, each["flag"], RULES[each["rule"]])


@given(targets)
def test_exactly_the_targets_with_a_rule_of_another_one_are_refused(drawn: list[dict[str, Any]]) -> None:
    reach = Written()
    places = [really(each) for each in drawn]
    wanted = [f"targets[{n}]" for n, place in enumerate(places) if place is not None and place in places[:n]]
    assert [field_name(flaw.path) for flaw in shared_now(as_rollouts(drawn), reach)] == wanted
    if len({CONNECTIONS[each["connection"]][0] for each in drawn}) == 1:
        assert not reach.asked["get_caller_identity"]
    if len({each["rule"] for each in drawn}) == 1:
        assert not reach.asked["get_flag"]


@given(targets)
def test_a_flag_is_retired_for_no_other_target_that_runs_on_it(drawn: list[dict[str, Any]]) -> None:
    flags = [place and (place[0], place[1], place[3]) for place in map(really, drawn)]
    wanted = any(flag is not None and flags.count(flag) > 1 for flag in flags)
    found = shared_now(as_rollouts(drawn, endings={"retire": {}}), Written())
    assert wanted is any(field_name(flaw.path).endswith("endings.retire") for flaw in found)


def test_a_required_target_without_a_place_is_named() -> None:
    drawn = [{"connection": "bare", "project": None, "environment": "test", "rule": "id-1", "flag": "f"}]
    with pytest.raises(ConfigurationError, match="target t0: no project is named"):
        shared_now(as_rollouts(drawn), Written(), {"t0"})


@pytest.fixture
def emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmulatorServer]:
    """An emulator in which Bold does much good, and two connections to it."""
    with EmulatorServer(world=an_environment_for_each_target()) as server:
        monkeypatch.setenv(CONNECTION, connection_json(server))
        monkeypatch.setenv(SECOND, connection_json(server, environment_key="berlin"))
        make_true(server, 0.3)
        yield server


def run(emulator: EmulatorServer, *targets: Any, **changes: Any) -> PromotionRunner:
    spec = {**ROLLOUT, "targets": list(targets), "waves": {"order": [1, "rest"]}, **changes}
    return PromotionRunner(rollout_dag(spec), wait=lambda _: emulator.clock.advance(timedelta(days=1))).go_on()


SHARING: dict[str, tuple[list[Any], str]] = {
    "the project is the connection's": (["a", {"key": "b", "project": "demo"}], "fallthrough"),
    "the environment is the connection's": (["a", {"key": "b", "environment": "production"}], "fallthrough"),
    "both are": (["a", {"key": "b", "project": "demo", "environment": "production"}], "fallthrough"),
    "another connection": (
        [{"key": "a", "environment": "berlin"}, {"key": "b", "connection": "second"}],
        "fallthrough",
    ),
}


@pytest.mark.parametrize("case", SHARING)
def test_a_run_refuses_a_shared_rule_before_anything_is_written(emulator: EmulatorServer, case: str) -> None:
    targets, rule = SHARING[case]
    done = run(emulator, *targets)
    assert done.states["open_wave_1"] == "failed"
    assert (
        f"targets[1]: b and a have the same rule, {rule} of flag checkout-button in demo/"
        in (done.reasons["open_wave_1"])
    )
    assert {done.output(f"wave_{wave}.begin_{key}")["begun"] for wave, key in ((1, "a"), (2, "b"))} == {False}
    assert [request.operation for request in emulator.requests() if request.method != "GET"] == []
    assert "the task open_wave_1 failed: clear it with all that follows it" in done.reasons["summary"]


def test_a_run_refuses_to_retire_a_flag_of_a_later_wave(emulator: EmulatorServer) -> None:
    retire = {"retire": {"mode": "archive", "served_for": "8d", "environments": ["berlin"]}}
    both = [{"key": "a", "environment": "berlin"}, {"key": "b", "project": "demo", "environment": "production"}]
    done = run(emulator, *both, endings=retire)
    assert (
        "targets[0].endings.retire: is for a, and flag checkout-button is that of b as well"
        in (done.reasons["open_wave_1"])
    )


def test_a_later_wave_is_refused_if_a_connection_leads_elsewhere_by_then(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = [{"key": "a", "environment": "berlin"}, {"key": "b", "connection": "second"}]
    monkeypatch.setenv(SECOND, connection_json(emulator, environment_key="paris"))
    spec = {**ROLLOUT, "targets": both, "waves": {"order": [1, "rest"]}}
    done = PromotionRunner(rollout_dag(spec), wait=lambda _: emulator.clock.advance(timedelta(days=1)))
    done.go_on("open_wave_2")
    monkeypatch.setenv(SECOND, connection_json(emulator, environment_key="berlin"))
    done.go_on()
    assert done.states["open_wave_2"] == "failed"
    assert changed_in(emulator, "iteration.started") == ["berlin"]


def test_a_wave_is_refused_if_the_place_of_a_target_of_its_own_is_not_known(
    emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SECOND)
    done = run(emulator, "a", {"key": "b", "connection": "second"})
    assert done.states["open_wave_1"] == "success"
    assert "target b: " in done.reasons["open_wave_2"]
    assert "second" in done.reasons["open_wave_2"]
    assert changed_in(emulator, "iteration.started") == ["production"]
