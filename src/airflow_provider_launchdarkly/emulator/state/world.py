"""Build a world from plain data, which is read strictly.

The ids depend on the seed and the keys alone, so the same data gives the same world on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, cast

from airflow_provider_launchdarkly.emulator.fields import Fields
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Rule, Variation
from airflow_provider_launchdarkly.emulator.state.models import (
    Environment,
    Member,
    Metric,
    MetricGroup,
    MetricInGroup,
    Project,
    RandomizationUnit,
    Token,
    World,
    object_id,
    uuid_id,
)
from airflow_provider_launchdarkly.emulator.state.scenarios import scenario_data

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from airflow_provider_launchdarkly.emulator.state.likeness import Role

Option = TypeVar("Option", bound=str)


def first_world(*, seed: int, scenario: str, now: int, data: Mapping[str, Any] | None = None) -> World:
    """Return the emulator's first world, without the emulator's own token.

    Args:
        seed: Determines all ids and people.
        scenario: A name in `scenarios.SCENARIOS`.
        now: The creation time of everything, epoch milliseconds.
        data: The data of a world that replaces the scenario's, as for `build_world`.

    Raises:
        ValueError: The scenario is unknown, or the data is wrong.
    """
    return build_world(scenario_data(scenario) if data is None else data, seed=seed, now=now)


def add_own_token(world: World, token: str, *, role: Role = "admin", service: bool = False) -> None:
    """Add the emulator's own token: an administrator's that belongs to the world's first member, unless said otherwise.

    Args:
        world: The world.
        token: The token's value.
        role: The token's role.
        service: Whether it is a service token, which belongs to nobody.
    """
    owner = None if service else next(iter(world.members))
    world.tokens[token] = Token(token, object_id(world.seed, "token/admin"), "emulator", role, owner)


def build_world(data: Mapping[str, Any], *, seed: int, now: int) -> World:
    """Build a world.

    Args:
        data: ``members`` {email: {first_name, last_name, role}}, ``teams`` [key], ``tokens`` {token: {name, role,
            service, projects}}, and ``projects`` {key: {name, environments, flags, metrics, metric_groups,
            randomization_units, context_kinds, truths, release_plans}}; the first randomization unit is the default
            one. ``release_plans`` {environment: {key: plan}} have the fields of LaunchDarkly's inline releases.
        seed: Determines all ids and people.
        now: The creation time of everything, epoch milliseconds.

    Raises:
        ValueError: A field is unknown, missing or wrong. The message names its path, the value and the cure.
    """
    fields = Fields(data, "world")
    members = {m.id: m for m in (_member(seed, *entry) for entry in _children(fields, "members"))}
    if not members:
        raise ValueError("world.members: there is no member; give at least one, who owns all that names no other owner")
    owner = next(iter(members))
    teams = _texts(fields, "teams")
    world = World(seed=seed, account_id=object_id(seed, "account"), members=members, teams=teams)
    for value, inner in _children(fields, "tokens"):
        world.tokens[value] = _token(seed, value, inner, owner)
    for key, inner in _children(fields, "projects"):
        world.projects[key] = _ProjectBuilder(seed, now, owner, key).build(inner)
    fields.finish()
    return world


@dataclass(frozen=True, slots=True)
class _ProjectBuilder:
    """Builds a project, in an order in which each part exists before other parts refer to it."""

    seed: int
    now: int
    owner: str
    project_key: str

    def build(self, fields: Fields) -> Project:
        project = Project(
            key=self.project_key,
            name=fields.text("name") or self.project_key,
            id=self._object_id("project", ""),
            created_at=self.now,
            tags=_texts(fields, "tags"),
        )
        units = _texts(fields, "randomization_units") or ("user",)
        project.randomization_units = tuple(RandomizationUnit(u, default=u == units[0]) for u in units)
        project.context_kinds = tuple(dict.fromkeys((*units, *_texts(fields, "context_kinds"))))
        project.environments.update((k, self._environment(k, inner)) for k, inner in _children(fields, "environments"))
        for key, inner in _children(fields, "flags"):
            project.flags[key] = self._flag(project, key, inner)
        project.metrics.update((key, self._metric(key, inner)) for key, inner in _children(fields, "metrics"))
        for key, inner in _children(fields, "metric_groups"):
            project.metric_groups[key] = self._metric_group(project, key, inner)
        for environment_key, plans in _children(fields, "release_plans"):
            _check_known(f"{fields.path}.release_plans", environment_key, project.environments)
            for key, plan in plans.entries():
                if not isinstance(plan, dict):
                    raise ValueError(f"{plans.path}.{key}: {plan!r} is not a plan; write {{phases: …}}")  # noqa: TRY004 - one kind of error for bad data
                project.release_plans[environment_key, key] = plan
        for key, value in fields.child("truths").entries():
            path = f"{fields.path}.truths.{key}"
            _check_known(f"{fields.path}.truths", key, project.flags)
            project.truths[key] = GroundTruth.from_dict(value, path)
            _check_truth(path, project, project.flags[key], project.truths[key])
        fields.finish()
        return project

    def _environment(self, key: str, fields: Fields) -> Environment:
        environment = Environment(
            key=key,
            name=fields.text("name") or key,
            id=self._object_id("environment", key),
            sdk_key=fields.text("sdk_key") or f"sdk-{self._uuid('sdk', key)}",
            mobile_key=fields.text("mobile_key") or f"mob-{self._uuid('mobile', key)}",
            critical=_boolean(fields, "critical", default=False),
            approvals_required=_boolean(fields, "approvals_required", default=False),
            tags=_texts(fields, "tags"),
        )
        fields.finish()
        return environment

    def _flag(self, project: Project, key: str, fields: Fields) -> Flag:
        variations = self._variations(key, fields)
        config = FlagConfig(
            version=1,
            last_modified=self.now,
            fallthrough=_index(fields, "fallthrough", variations),
            off_variation=_index(fields, "off_variation", variations),
            salt=self._object_id("salt", key),
            rules=tuple(self._rule(key, *entry, variations) for entry in _children(fields, "rules")),
        )
        on_in = _texts(fields, "on_in")
        for environment_key in on_in:
            _check_known(f"{fields.path}.on_in", environment_key, project.environments)
        flag = Flag(
            key=key,
            name=fields.text("name") or key,
            description=fields.text("description") or "",
            created_at=self.now,
            variations=variations,
            configs={name: replace(config, on=name in on_in) for name in project.environments},
            tags=_texts(fields, "tags"),
            maintainer_id=self.owner,
            temporary=_boolean(fields, "temporary", default=True),
            purpose=fields.text("purpose"),
        )
        fields.finish()
        return flag

    def _variations(self, flag_key: str, fields: Fields) -> tuple[Variation, ...]:
        values = fields.take("variations") or [True, False]
        if not isinstance(values, list) or len(values) < 2:
            raise ValueError(f"{fields.path}.variations: {values!r} is not a list of at least two variations")
        variations = []
        for index, value in enumerate(values):
            variation_id = self._uuid("variation", f"{flag_key}/{index}")
            if isinstance(value, dict) and "value" in value:
                inner = Fields(value, f"{fields.path}.variations[{index}]")
                name, description = inner.text("name"), inner.text("description")
                variations.append(Variation(variation_id, inner.take("value"), name, description))
                inner.finish()
            else:
                variations.append(Variation(variation_id, value))
        return tuple(variations)

    def _rule(self, flag_key: str, name: str, fields: Fields, variations: tuple[Variation, ...]) -> Rule:
        clauses = fields.take("clauses") or []
        if not isinstance(clauses, list) or not all(isinstance(clause, dict) for clause in clauses):
            raise ValueError(f"{fields.path}.clauses: {clauses!r} is not a list of clauses; write [{{attribute: …}}]")
        rule = Rule(
            id=self._uuid("rule", f"{flag_key}/{name}"),
            clauses=tuple(
                {"_id": self._uuid("clause", f"{flag_key}/{name}/{index}"), **clause}
                for index, clause in enumerate(clauses)
            ),
            serving=_index(fields, "variation", variations),
            description=name,
        )
        fields.finish()
        return rule

    def _metric(self, key: str, fields: Fields) -> Metric:
        metric = Metric(
            key=key,
            name=fields.text("name") or key,
            id=self._object_id("metric", key),
            version_id=self._uuid("metric-version", key),
            created_at=self.now,
            kind=_choice(fields, "kind", ("custom", "pageview", "click", "trace")),
            is_numeric=_boolean(fields, "numeric", default=False),
            higher_is_better=_choice(fields, "better", ("higher", "lower")) == "higher",
            event_key=fields.text("event_key") or key,
            unit=fields.text("unit"),
            unit_aggregation=_choice(fields, "unit_aggregation", ("average", "sum", "count_distinct")),
            missing_counts_as_zero=_boolean(fields, "missing_counts_as_zero", default=True),
            description=fields.text("description") or "",
            tags=_texts(fields, "tags"),
            maintainer_id=self.owner,
        )
        fields.finish()
        return metric

    def _metric_group(self, project: Project, key: str, fields: Fields) -> MetricGroup:
        members = []
        for name, inner in _children(fields, "metrics"):
            _check_known(f"{fields.path}.metrics", name, project.metrics)
            members.append(MetricInGroup(name, inner.text("name_in_group") or project.metrics[name].name))
            inner.finish()
        group = MetricGroup(
            key=key,
            name=fields.text("name") or key,
            id=self._object_id("metric-group", key),
            version_id=self._uuid("metric-group-version", key),
            kind=_choice(fields, "kind", ("standard", "funnel")),
            metrics=tuple(members),
            created_at=self.now,
            maintainer_id=self.owner,
            description=fields.text("description") or "",
            tags=_texts(fields, "tags"),
        )
        fields.finish()
        return group

    def _object_id(self, kind: str, key: str) -> str:
        return object_id(self.seed, f"{kind}/{self.project_key}/{key}")

    def _uuid(self, kind: str, key: str) -> str:
        return uuid_id(self.seed, f"{kind}/{self.project_key}/{key}")


def _check_truth(path: str, project: Project, flag: Flag, truth: GroundTruth) -> None:
    """Reject a ground truth with metrics, kinds of metrics or variations that its flag's project does not have."""
    labels = [variation.label for variation in flag.variations]
    for name in truth.split:
        _check_known(f"{path}.split", name, labels)
    for key, metric in truth.metrics.items():
        _check_known(f"{path}.metrics", key, project.metrics)
        is_numeric = project.metrics[key].is_numeric
        if is_numeric != (metric.kind == "numeric"):
            asked = "baseline_mean and standard_deviation" if is_numeric else "baseline_rate"
            kind = "numeric" if is_numeric else "a conversion"
            raise ValueError(f"{path}.metrics.{key}: the metric is {kind}; give {asked}, or change the metric")
        for field_name, by_variation in (("effects", metric.effects), ("lost_events", metric.lost)):
            for name in by_variation:
                _check_known(f"{path}.metrics.{key}.{field_name}", name, labels)
    for attribute, values in truth.attributes.items():
        for value, of_value in values.items():
            for key, effects in of_value.effects.items():
                for name in effects:
                    _check_known(f"{path}.attributes.{attribute}.{value}.effects.{key}", name, labels)


def _member(seed: int, email: str, fields: Fields) -> Member:
    member = Member(
        id=object_id(seed, f"member/{email}"),
        email=email,
        first_name=fields.text("first_name") or "",
        last_name=fields.text("last_name") or "",
        role=_choice(fields, "role", ("admin", "owner", "writer", "reader")),
    )
    fields.finish()
    return member


def _token(seed: int, value: str, fields: Fields, owner: str) -> Token:
    projects = _texts(fields, "projects") if "projects" in fields else None
    token = Token(
        value=value,
        id=object_id(seed, f"token/{value}"),
        name=fields.text("name") or "token",
        role=_choice(fields, "role", ("admin", "writer", "reader", "custom")),
        member_id=None if _boolean(fields, "service", default=False) else owner,
        projects=projects,
    )
    fields.finish()
    return token


def _children(fields: Fields, name: str) -> list[tuple[str, Fields]]:
    inner = fields.child(name)
    return [(key, Fields({} if value is None else value, f"{inner.path}.{key}")) for key, value in inner.entries()]


def _texts(fields: Fields, name: str) -> tuple[str, ...]:
    value = fields.take(name)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError(f"{fields.path}.{name}: {value!r} is not a list of texts; write [a, b]")
    return tuple(value)


def _boolean(fields: Fields, name: str, *, default: bool) -> bool:
    value = fields.take(name)
    if value is not None and not isinstance(value, bool):
        raise ValueError(f"{fields.path}.{name}: {value!r} is not true or false; write one of them without quotes")
    return default if value is None else value


def _choice(fields: Fields, name: str, options: tuple[Option, ...]) -> Option:
    """Return the option that the field names, or the first if the field is missing."""
    value = fields.text(name)
    if value is None:
        return options[0]
    _check_known(f"{fields.path}.{name}", value, options)
    return options[options.index(cast("Option", value))]


def _index(fields: Fields, name: str, variations: tuple[Variation, ...]) -> int:
    """Return the index of the variation that the field names, or 0 if the field is missing."""
    label = fields.text(name)
    labels = [variation.label for variation in variations]
    if label is None:
        return 0
    _check_known(f"{fields.path}.{name}", label, labels)
    return labels.index(label)


def _check_known(path: str, name: str, names: Collection[str]) -> None:
    if name not in names:
        raise ValueError(f"{path}: {name!r} is not one of {', '.join(names)}")
