"""A model that is loaded where its field is given has the errors, the JSON and the schema of any other model."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from airflow_provider_launchdarkly.config.later import Later
from airflow_provider_launchdarkly.rollout.notify import Notify

loaded: list[type[BaseModel]] = []


def _load() -> type[BaseModel]:
    loaded.append(Notify)
    return Notify


Late = Annotated[Any, Later(_load)]


class Now(BaseModel):
    one: Notify | None = None
    many: tuple[Notify, ...] = ()


class Then(BaseModel):
    one: Late | None = None
    many: tuple[Late, ...] = ()


WRONG: list[dict[str, Any]] = [
    {"one": 5},
    {"one": "slack"},
    {"one": {}},
    {"one": {"through": "pigeon"}},
    {"one": {"through": "slack", "arguments": {"token": "x"}}},
    {"many": 5},
    {"many": [{"through": "email"}, {"through": "slack", "chanel": "#x"}]},
    {"many": [None]},
]


def errors_of(model: type[BaseModel], value: dict[str, Any]) -> list[tuple[Any, ...]]:
    with pytest.raises(ValidationError) as raised:
        model.model_validate(value)
    return [(each["type"], each["loc"], each["msg"], each["input"]) for each in raised.value.errors()]


@pytest.mark.parametrize("value", WRONG, ids=str)
def test_errors_are_the_same(value: dict[str, Any]) -> None:
    assert errors_of(Then, value) == errors_of(Now, value)


def test_the_json_is_the_same() -> None:
    value = {"one": {"through": "slack"}, "many": [{"through": "email", "arguments": {"to": "a@b.example"}}]}
    assert Then.model_validate(value).model_dump(mode="json") == Now.model_validate(value).model_dump(mode="json")


def test_a_model_that_is_made_already_is_taken_as_it_is() -> None:
    made = Notify(through="slack")
    assert Then.model_validate({"one": made}).model_dump()["one"] == made.model_dump()


def test_the_schema_is_the_same() -> None:
    then, now = TypeAdapter(Then).json_schema(), TypeAdapter(Now).json_schema()
    for each in (*then["properties"].values(), *now["properties"].values()):
        each.pop("title", None)
    assert (then["properties"], then["$defs"]) == (now["properties"], now["$defs"])


def test_nothing_is_loaded_for_a_field_that_is_not_given() -> None:
    loaded.clear()
    Then.model_validate({"one": None, "many": ()})
    assert loaded == []
