"""The fields by which each list call filters and sorts (docstrings of the list calls of client 25.0.1)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.rules.flag_status import last_requested
from airflow_provider_launchdarkly.emulator.rules.listing import (
    boolean,
    colon_terms,
    filtered_by_colon,
    filtered_by_operator,
    one_of,
    sorted_by,
    texts,
    words_in,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.rules.listing import ColonFilters, OperatorFilters, Predicate
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.models import (
        Environment,
        Experiment,
        Member,
        Metric,
        MetricGroup,
        Project,
    )
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def flags(transaction: Transaction, filters: str | None, *, archived: bool) -> list[Flag]:
    """Return a project's flags that match a filter: by default those that are not archived, or only those that are."""
    given = dict(colon_terms(filters))
    found = list(transaction.project.flags.values())
    if "state" not in given and "archived" not in given:
        found = [flag for flag in found if flag.archived == archived]
    return filtered_by_colon(found, filters, _flag_filters(transaction, given.get("filterEnv")))


def sorted_flags(flags: list[Flag], sort: str | None, environments: Sequence[str]) -> list[Flag]:
    """Return flags in the order of `sort`. The date of targeting needs an environment, and is the only field then."""
    keys: dict[str, Callable[[Flag], Any]] = {
        "creationDate": lambda flag: flag.created_at,
        "key": lambda flag: flag.key,
        "maintainerId": lambda flag: flag.maintainer_id or "",
        "name": lambda flag: flag.name,
        "tags": lambda flag: flag.tags,
        "type": lambda flag: flag.temporary,
        "targetingModifiedDate": lambda flag: flag.configs[environments[0]].last_modified,
    }
    if "targetingModifiedDate" in (sort or "") and (not environments or "," in (sort or "")):
        raise invalid_request("sort: targetingModifiedDate needs env, and goes with no other field")
    return sorted_by(flags, sort, keys)


def _flag_filters(transaction: Transaction, environment_key: str | None) -> ColonFilters:
    def evaluated(value: str) -> Predicate:
        if environment_key is None:
            raise ValueError("it needs filterEnv")
        after = _milliseconds(value, "after")

        def matches(flag: Flag) -> bool:
            seen = last_requested(transaction, flag)
            return seen is not None and seen >= after

        return matches

    def in_experiment(flag: Flag) -> bool:
        return any(i.flag.flag_key == flag.key for e in transaction.experiments() for i in e.iterations)

    def filter_environment(value: str) -> Predicate:
        transaction.environment(value)
        return _always(True)

    return {
        "applicationEvaluated": lambda _value: _always(False),
        "archived": lambda value: _equals(boolean(value), lambda flag: flag.archived),
        "contextKindsEvaluated": lambda value: (
            lambda flag: last_requested(transaction, flag) is not None and set(value.split("+")) <= {"user"}
        ),
        "codeReferences.max": lambda value: _always(_whole(value) >= 0),
        "codeReferences.min": lambda value: _always(_whole(value) == 0),
        "creationDate": _created_before,
        "evaluated": evaluated,
        "filterEnv": filter_environment,
        "guardedRollout": lambda value: _always(
            one_of("any", "monitoring", "regressed", "rolledBack", "completed", "archived")(value) == ""
        ),
        "hasExperiment": lambda value: _equals(boolean(value), in_experiment),
        "maintainerId": lambda value: _equals(value, lambda flag: flag.maintainer_id),
        "maintainerTeamKey": lambda value: _equals(value, lambda flag: flag.maintainer_team_key),
        "query": lambda value: lambda flag: words_in([value], flag.key, flag.name),
        "releasePipeline": lambda _value: _always(False),
        "state": lambda value: _equals(one_of("live", "deprecated", "archived")(value), _state),
        "sdkAvailability": lambda value: _SDKS[one_of(*_SDKS)(value)],
        "tags": _has_tags,
        "type": lambda value: _equals(one_of("temporary", "permanent")(value) == "temporary", lambda f: f.temporary),
    }


_SDKS: Mapping[str, Predicate] = {
    "client": lambda flag: flag.client_side_id,
    "mobile": lambda flag: flag.mobile_key,
    "anyClient": lambda flag: flag.client_side_id or flag.mobile_key,
    "server": lambda flag: not (flag.client_side_id or flag.mobile_key),
}


def _state(flag: Flag) -> str:
    if flag.archived:
        return "archived"
    return "live" if flag.deprecated_at is None else "deprecated"


def projects(found: Iterable[Project], filters: str | None, sort: str | None) -> list[Project]:
    """Return the projects that match a filter, sorted."""
    fields: ColonFilters = {
        "query": _named,
        "tags": _has_tags,
        "keys": lambda value: lambda project: project.key.lower() in value.lower().split("|"),
    }
    keys = {"name": _name, "createdOn": lambda project: project.created_at}
    return sorted_by(filtered_by_colon(found, filters, fields), sort, keys)


def environments(found: Iterable[Environment], filters: str | None, sort: str | None) -> list[Environment]:
    """Return the environments that match a filter, sorted. All have the age of their project."""
    fields: ColonFilters = {
        "query": _named,
        "tags": _has_tags,
        "critical": lambda value: _equals(boolean(value), lambda environment: environment.critical),
    }
    keys = {
        "name": _name,
        "critical": lambda environment: environment.critical,
        "createdOn": lambda _environment: 0,
    }
    return sorted_by(filtered_by_colon(found, filters, fields), sort, keys)


def members(found: Iterable[Member], filters: str | None, sort: str | None) -> list[Member]:
    """Return the members that match a filter, sorted. No member is in a team, and all were seen at the same time."""
    fields: ColonFilters = {
        "query": lambda value: lambda m: words_in([value], m.email, f"{m.first_name} {m.last_name}"),
        "role": lambda value: lambda m: m.role in _roles(value),
        "id": lambda value: lambda m: m.id in value.split("|"),
        "email": lambda value: lambda m: m.email in value.split("|"),
        "team": lambda _value: _always(False),
        "noteam": lambda value: _always(boolean(value)),
        "lastSeen": lambda value: _always(_json_object(value).keys() == {"before"}),
    }
    keys = {
        "displayName": lambda m: f"{m.first_name} {m.last_name}".strip() or m.email,
        "lastSeen": lambda _member: 0,
    }
    return sorted_by(filtered_by_colon(found, filters, fields), sort, keys)


def _roles(value: str) -> set[str]:
    roles = set(value.lower().split("|"))
    return roles | {"owner"} if "admin" in roles else roles


def metrics(transaction: Transaction, filters: str | None, sort: str | None) -> list[Metric]:
    """Return a project's metrics that match a filter, sorted by one field."""

    def used(metric: Metric) -> bool:
        return bool(transaction.using_metric(metric.key))

    places: dict[str, Predicate] = {
        "experiments": used,
        "guarded_rollouts": lambda _metric: False,
        "any": used,
        "none": lambda metric: not used(metric),
    }
    fields: OperatorFilters = {
        "dataSourceKeys": (
            ("anyOf", "notEquals"),
            lambda operator, value: lambda m: (m.data_source_key in texts(value)) == (operator == "anyOf"),
        ),
        "eventKeys": (("anyOf",), _any_of(lambda metric: metric.event_key)),
        "eventKind": (("equals",), _is(lambda metric: metric.kind, one_of("custom", "pageview", "click", "trace"))),
        "hasConnections": (("equals",), _is(used, boolean)),
        "isNumeric": (("equals",), _is(lambda metric: metric.is_numeric, boolean)),
        "maintainerIds": (("anyOf",), _any_of(lambda metric: metric.maintainer_id)),
        "maintainerTeamKey": (("equals",), _is(lambda _metric: None)),
        "metricUsedIn": (("equals",), lambda _operator, value: places[one_of(*places)(value)]),
        "query": (("equals",), _query),
        "tags": (("contains",), lambda _operator, value: lambda metric: set(texts(value)) <= set(metric.tags)),
        "unitAggregationType": (("equals",), _is(lambda m: m.unit_aggregation, one_of("sum", "average"))),
        "versionIds": (("anyOf",), _any_of(lambda metric: metric.version_id)),
        "view": (("equals",), _is(lambda _metric: None)),
    }
    found = filtered_by_operator(transaction.project.metrics.values(), filters, fields)
    return sorted_by(found, sort, {"createdAt": lambda metric: metric.created_at, "name": _name}, most=1)


def metric_groups(transaction: Transaction, filters: str | None, sort: str | None) -> list[MetricGroup]:
    """Return a project's metric groups that match a filter, sorted."""

    def using(group: MetricGroup) -> list[Experiment]:
        return transaction.using_group(group.key)

    def status(_operator: str, value: Any) -> Predicate:
        wanted = one_of("not_started", "running", "stopped", "started")(value)
        statuses = {"running", "stopped"} if wanted == "started" else {wanted}
        return lambda group: any(e.current.status in statuses for e in using(group))

    fields: OperatorFilters = {
        "experimentStatus": (("equals",), status),
        "hasConnections": (("equals",), _is(lambda group: bool(using(group)), boolean)),
        "kind": (("equals",), _is(lambda group: group.kind, one_of("funnel", "standard"))),
        "maintainerIds": (("anyOf",), _any_of(lambda group: group.maintainer_id)),
        "maintainerTeamKey": (("equals",), _is(lambda _group: None)),
        "query": (("equals",), _query),
    }
    keys = {
        "name": _name,
        "createdAt": lambda group: group.created_at,
        "connectionCount": lambda group: len(using(group)),
    }
    return sorted_by(filtered_by_operator(transaction.project.metric_groups.values(), filters, fields), sort, keys)


def _is(field: Callable[[Any], Any], read: Callable[[Any], Any] = str) -> Callable[[str, Any], Predicate]:
    return lambda _operator, value: _equals(read(value), field)


def _any_of(field: Callable[[Any], str | None]) -> Callable[[str, Any], Predicate]:
    return lambda _operator, value: lambda item: field(item) in texts(value)


def _query(_operator: str, value: Any) -> Predicate:
    words = [str(word) for word in value] if isinstance(value, list) else [str(value)]
    return lambda item: words_in(words, item.key, item.name)


def _equals(wanted: Any, field: Callable[[Any], Any]) -> Predicate:
    return lambda item: field(item) == wanted


def _always(answer: bool) -> Predicate:
    return lambda _item: answer


def _created_before(value: str) -> Predicate:
    before = _milliseconds(value, "before")
    return lambda flag: bool(flag.created_at < before)


def _named(value: str) -> Predicate:
    return lambda item: words_in([value], item.key, item.name)


def _has_tags(value: str) -> Predicate:
    wanted = set(value.lower().split("+"))
    return lambda item: wanted <= {tag.lower() for tag in item.tags}


def _name(item: Any) -> str:
    return str(item.name)


def _whole(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 10):
        raise ValueError("use a whole number")
    return int(value)


def _json_object(value: str) -> dict[str, Any]:
    try:
        data = json.loads(value)
    except RecursionError:
        data = None
    if not isinstance(data, dict):
        raise ValueError('use an object such as {"before": 1690527600000}')  # noqa: TRY004 - a wrong value to its caller
    return data


def _milliseconds(value: str, name: str) -> int:
    moment = _json_object(value).get(name)
    if isinstance(moment, bool) or not isinstance(moment, int):
        raise ValueError(f'use {{"{name}": milliseconds}}')  # noqa: TRY004 - a wrong value to its caller
    return moment
