"""Metrics, groups, flags, settings, holdouts, layers: created or changed so that a repeat finds the work done.

Against a small store that behaves as LaunchDarkly documents: keys are unique, a PUT replaces, the unknown is ignored.
"""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ConflictError,
    ExperimentDiffersError,
    FieldsNotAppliedError,
    StateError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.models import FlagPost, MetricGroupPost, MetricPost, RandomizationUnitInput

from .conftest import ENV, Connect, answer


class Store:
    """Resources by path. ``faults`` happen to the next writes: a status before, or "lost" after it took effect."""

    def __init__(self, **resources: Any) -> None:
        self.resources: dict[str, Any] = {"/api/v2/" + path: body for path, body in resources.items()}
        self.writes: list[Any] = []
        self.effects = 0
        self.faults: list[Any] = []
        self.ignored: set[str] = set()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        if request.method == "GET":
            found = self.resources.get(path)
            return answer(404, {"code": "not_found", "message": f"no {path}"}) if found is None else answer(body=found)
        body = json.loads(request.content)
        self.writes.append(body)
        fault = self.faults.pop(0) if self.faults else None
        if isinstance(fault, int):
            return answer(fault, {"code": "x", "message": "injected"})
        reply: httpx.Response = getattr(self, request.method.lower())(path, body)
        if fault == "lost":
            raise httpx.RemoteProtocolError("closed")
        return reply

    def post(self, path: str, body: Any) -> httpx.Response:
        own = f"{path}/{body['key']}"
        if own in self.resources:
            return answer(409, {"code": "conflict", "message": "exists"})
        kept = {name: value for name, value in body.items() if name not in self.ignored}
        self.resources[own] = kept | {"_id": "made", "_links": {}}
        self.effects += 1
        return answer(201, self.resources[own])

    def put(self, path: str, body: Any) -> httpx.Response:
        self.resources[path] = {"_projectKey": "demo"} | body
        self.effects += 1
        return answer(body=self.resources[path])

    def patch(self, path: str, body: Any) -> httpx.Response:
        self.effects += 1
        (instruction,) = body["instructions"]
        if instruction["kind"] == "endHoldout":
            self.resources[path]["status"] = "ended"
            return answer(body=self.resources[path])
        reservation = {name: instruction[name] for name in ("experimentKey", "reservationPercent")}
        (layer,) = self.resources["/api/v2/projects/demo/layers"]["items"]
        layer["environments"][body["environmentKey"]] = {"reservations": [reservation]}
        return answer(body=layer)


MADE: dict[str, tuple[Any, Any]] = {
    "metric": (
        writes.create_metric,
        MetricPost(key="m", kind="custom", is_numeric=True, success_criteria="LowerThanBaseline", event_key="e"),
    ),
    "metric group": (
        writes.create_metric_group,
        MetricGroupPost.checked(
            {
                "key": "g",
                "name": "G",
                "kind": "funnel",
                "maintainerId": "x",
                "tags": ["b", "a"],
                "metrics": [{"key": "m", "nameInGroup": "1"}, {"key": "n", "nameInGroup": "2"}],
            }
        ),
    ),
    "flag": (
        writes.create_flag,
        FlagPost.checked(
            {"key": "f", "name": "F", "isFlagOn": True, "variations": [{"value": {"size": 1}}, {"value": {"size": 2}}]}
        ),
    ),
}


@pytest.fixture(params=MADE)
def made(request: pytest.FixtureRequest) -> Any:
    create, post = MADE[request.param]
    return lambda: create("demo", post)


def test_what_is_not_there_is_created(connect: Connect, made: Any) -> None:
    store = Store()
    existing = connect(store).run(made())
    assert (existing.adopted, existing.value.key, store.effects) == (False, store.writes[0]["key"], 1)


def test_what_is_there_with_the_same_content_is_adopted(connect: Connect, made: Any) -> None:
    store = Store()
    driver = connect(store)
    driver.run(made())
    assert driver.run(made()).adopted
    assert store.effects == 1


@pytest.mark.parametrize("fault", [500, "lost", 409])
def test_an_unclear_answer_is_read_back_and_one_remains(connect: Connect, made: Any, fault: Any) -> None:
    store = Store()
    store.faults = [fault]
    assert not connect(store).run(made()).adopted
    assert store.effects == 1


@pytest.mark.parametrize(("fault", "error"), [(500, UnclearOutcomeError), (409, ConflictError)])
def test_what_never_gets_through_is_an_error_after_three_tries(
    connect: Connect, made: Any, fault: Any, error: type[Exception]
) -> None:
    store = Store()
    store.faults = [fault] * 9
    with pytest.raises(error):
        connect(store).run(made())
    assert len(store.writes) == 3


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"successCriteria": "HigherThanBaseline"}, "successCriteria"),
        ({"eventKey": "other"}, "eventKey"),
        ({"kind": "pageview"}, "kind"),
    ],
)
def test_other_content_is_an_error_that_names_the_field(connect: Connect, change: dict[str, Any], field: str) -> None:
    create, post = MADE["metric"]
    store = Store(**{"metrics/demo/m": post.to_wire() | change})
    with pytest.raises(ExperimentDiffersError, match=f"metric 'm' exists already.*{field}: asked") as differs:
        connect(store).run(create("demo", post))
    assert [difference.field for difference in differs.value.differences] == [field]


def test_a_difference_deep_inside_is_named_with_its_place(connect: Connect) -> None:
    create, post = MADE["flag"]
    store = Store(**{"flags/demo/f": post.to_wire() | {"variations": [{"value": {"size": 1}}, {"value": {"size": 3}}]}})
    with pytest.raises(ExperimentDiffersError, match=r"variations\[1\]\.value\.size: asked 2, found 3"):
        connect(store).run(create("demo", post))


def test_a_field_that_was_ignored_is_reported_by_name(connect: Connect) -> None:
    create, post = MADE["metric"]
    store = Store()
    store.ignored = {"successCriteria"}
    with pytest.raises(FieldsNotAppliedError, match="successCriteria: asked 'LowerThanBaseline', found None"):
        connect(store).run(create("demo", post))


SETTINGS = "projects/demo/experimentation-settings"
UNITS = [
    {"randomizationUnit": "user", "default": True, "standardRandomizationUnit": "user", "_displayName": "User"},
    {"randomizationUnit": "org", "default": False, "standardRandomizationUnit": "organization"},
]


def merge(*units: dict[str, Any], **options: Any) -> Any:
    asked = [RandomizationUnitInput.checked(unit) for unit in units]
    return writes.merge_randomization_units("demo", asked, **options)


def test_a_new_unit_joins_the_others(connect: Connect) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    told: list[Any] = []
    reached = connect(store).run(
        merge({"randomizationUnit": "device"}, announce=lambda found, put: told.append((found, put)))
    )
    assert reached.changed
    assert store.writes == [
        {
            "randomizationUnits": [
                {"randomizationUnit": "user", "default": True, "standardRandomizationUnit": "user"},
                {"randomizationUnit": "org", "default": False, "standardRandomizationUnit": "organization"},
                {"randomizationUnit": "device"},
            ]
        }
    ]
    ((found, put),) = told
    assert (len(found.randomization_units), len(put.randomization_units)) == (2, 3)


def test_a_new_default_takes_the_place_of_the_old_one(connect: Connect) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    reached = connect(store).run(merge({"randomizationUnit": "org", "default": True}))
    assert [unit.default for unit in reached.value.randomization_units] == [False, True]


def test_units_that_are_so_already_are_not_written(connect: Connect) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    told: list[Any] = []
    reached = connect(store).run(
        merge({"randomizationUnit": "org"}, {"randomizationUnit": "user", "default": True}, announce=told.append)
    )
    assert (reached.changed, store.writes, told) == (False, [], [])


@pytest.mark.parametrize("fault", [500, "lost", 409])
def test_an_unclear_put_is_read_back_and_made_once(connect: Connect, fault: Any) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    store.faults = [fault]
    assert connect(store).run(merge({"randomizationUnit": "device"})).changed
    assert store.effects == 1


def test_a_unit_that_was_ignored_is_reported(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    monkeypatch.setattr(store, "put", lambda _path, _body: answer(body={"randomizationUnits": UNITS}))
    with pytest.raises(FieldsNotAppliedError, match=r"randomizationUnits\[device\]"):
        connect(store).run(merge({"randomizationUnit": "device"}))


@pytest.mark.parametrize(
    "units",
    [
        ({"randomizationUnit": "org", "default": True}, {"randomizationUnit": "device", "default": True}),
        ({"randomizationUnit": "device"}, {"randomizationUnit": "device"}),
    ],
)
def test_units_that_contradict_each_other_are_refused(connect: Connect, units: Any) -> None:
    store = Store(**{SETTINGS: {"randomizationUnits": UNITS}})
    with pytest.raises(ConfigurationError):
        connect(store).run(merge(*units))
    assert store.writes == []


HOLDOUT = "projects/demo/environments/production/holdouts/h"


@pytest.mark.parametrize("fault", [None, 500, "lost", 409])
def test_a_holdout_is_ended_once(connect: Connect, fault: Any) -> None:
    store = Store(**{HOLDOUT: {"_id": "1", "key": "h", "status": "running"}})
    store.faults = [fault] if fault else []
    driver = connect(store)
    seen = [driver.run(writes.end_holdout(ENV, "h", comment="c")) for _ in range(2)]
    assert [(reached.value.status, reached.changed) for reached in seen] == [("ended", True), ("ended", False)]
    assert store.effects == 1


def layers(**environments: Any) -> Store:
    return Store(**{"projects/demo/layers": {"items": [{"key": "l", "environments": environments}], "totalCount": 1}})


@pytest.mark.parametrize("fault", [None, 500, "lost", 409])
def test_a_reservation_is_made_once(connect: Connect, fault: Any) -> None:
    store = layers(production={"reservations": []})
    store.faults = [fault] if fault else []
    driver = connect(store)
    seen = [driver.run(writes.reserve(ENV, "l", "bold", 40)) for _ in range(2)]
    assert [reached.changed for reached in seen] == [True, False]
    assert store.effects == 1


def test_a_reservation_that_no_answer_shows_is_taken_as_made(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    store = layers()
    monkeypatch.setattr(store, "patch", lambda _path, _body: answer(body={"key": "l"}))
    assert connect(store).run(writes.reserve(ENV, "l", "bold", 40)).changed


def test_an_unknown_layer_is_an_error_that_lists_the_known_ones(connect: Connect) -> None:
    with pytest.raises(StateError, match="has no layer 'nobody'; it has l"):
        connect(layers()).run(writes.reserve(ENV, "nobody", "bold", 40))


@pytest.mark.parametrize("percent", [-1, 101, 12.5])
def test_a_reservation_is_a_whole_percentage(connect: Connect, percent: Any) -> None:
    with pytest.raises(ConfigurationError, match="reservation_percent"):
        connect(layers()).run(writes.reserve(ENV, "l", "bold", percent))
