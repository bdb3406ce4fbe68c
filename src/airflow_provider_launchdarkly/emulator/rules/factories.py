"""Create feature flags, metrics and metric groups from request bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request
from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.rules.experiment_inputs import key as read_key
from airflow_provider_launchdarkly.emulator.rules.flag_rules import variation_index
from airflow_provider_launchdarkly.emulator.rules.flag_settings import check_team, check_values
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.rules.metric_fields import with_fields
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.state.flag_models import JSON, Flag, FlagConfig, Prerequisite, Variation
from airflow_provider_launchdarkly.emulator.state.models import Metric, MetricGroup, MetricInGroup

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

DEFAULT_TRUTH = {
    "people_per_day": 1_000,
    "other_metrics": {"baseline_rate": 0.1, "baseline_mean": 100, "standard_deviation": 30},
}
"""The ground truth of a flag that a client creates: no variation has an effect on any metric."""
DEFAULT_TRUTH_IN_WORDS = "default: 1000 people a day, conversions 10 %, numbers 100 with a deviation of 30, no effects"
METRIC_KINDS = ("custom", "pageview", "click", "trace")


def flag(transaction: Transaction, body: RequestBody) -> Flag:
    """Create a flag, boolean unless the body names variations (LaunchDarkly REST docs, Create a feature flag)."""
    key = read_key(body)
    if key in transaction.project.flags:
        raise conflict(f"a feature flag with the key {key!r} already exists in project {transaction.project.key!r}")
    variations = _variations(transaction, body)
    on, off = _defaults(body, len(variations))
    needed = body.objects("initialPrerequisites") if "initialPrerequisites" in body else []
    config = FlagConfig(
        prerequisites=tuple(_prerequisite(transaction, item) for item in needed),
        version=1,
        last_modified=transaction.now,
        fallthrough=on,
        off_variation=off,
        salt=transaction.world.new_id("salt"),
        on=body.flag("isFlagOn", default=False),
    )
    purpose = body.optional_text("purpose")
    if purpose is not None and purpose not in ("migration", "holdout"):
        raise invalid_request(f"purpose must be migration or holdout, not {purpose!r}")
    team = body.optional_text("maintainerTeamKey")
    if team is not None:
        check_team(transaction, team)
    if "migrationSettings" in body:
        body.object("migrationSettings")
    client = body.object("clientSideAvailability") if "clientSideAvailability" in body else RequestBody({})
    made = Flag(
        key=key,
        name=body.text("name"),
        description=body.optional_text("description") or "",
        created_at=transaction.now,
        variations=variations,
        configs=dict.fromkeys(transaction.project.environments, config),
        tags=tuple(dict.fromkeys(body.texts("tags"))),
        maintainer_id=None if team else _maintainer(transaction, body),
        maintainer_team_key=team,
        client_side_id=client.flag("usingEnvironmentId", default=body.flag("includeInSnippet", default=False)),
        mobile_key=client.flag("usingMobileKey", default="clientSideAvailability" in body),
        custom_properties=_custom_properties(body),
        migration_settings=body.raw("migrationSettings") if "migrationSettings" in body else None,
        temporary=body.flag("temporary", default=True),
        purpose=purpose,
        default_on=on,
        default_off=off,
    )
    transaction.put_flag(made)
    transaction.put_truth(key, GroundTruth.from_dict(DEFAULT_TRUTH))
    transaction.record("flag.created", flag=key)
    return made


def _custom_properties(body: RequestBody) -> dict[str, dict[str, JSON]]:
    if "customProperties" not in body:
        return {}
    given = body.object("customProperties")
    inner = {key: given.object(key) for key in given.names()}
    return {key: {"name": item.text("name"), "value": list(item.texts("value"))} for key, item in inner.items()}


def _prerequisite(transaction: Transaction, item: RequestBody) -> Prerequisite:
    key = item.text("key")
    if key not in transaction.project.flags:
        raise invalid_request(f"{item.path('key')}: there is no feature flag {key!r}")
    return Prerequisite(key, variation_index(transaction.flag(key), item))


def _variations(transaction: Transaction, body: RequestBody) -> tuple[Variation, ...]:
    items = body.objects("variations") if "variations" in body else [RequestBody({"value": v}) for v in (True, False)]
    variations = tuple(
        Variation(
            id=transaction.world.new_uuid("variation"),
            value=item.raw("value"),
            name=item.optional_text("name"),
            description=item.optional_text("description"),
        )
        for item in items
    )
    if len(variations) < 2:
        raise invalid_request("variations: a flag has at least two")
    check_values(variations)
    return variations


def _defaults(body: RequestBody, variations: int) -> tuple[int, int]:
    """Return the indexes of the variations that the flag serves when it is on and when it is off."""
    if "defaults" not in body:
        return 0, variations - 1
    defaults = body.object("defaults")
    on, off = defaults.integer("onVariation"), defaults.integer("offVariation")
    for name, index in (("onVariation", on), ("offVariation", off)):
        if not 0 <= index < variations:
            raise invalid_request(f"{defaults.path(name)}: there is no variation {index}")
    return on, off


def metric(transaction: Transaction, body: RequestBody) -> Metric:
    """Create a metric (LaunchDarkly REST docs, Create metric)."""
    key, kind = read_key(body), body.choice("kind", METRIC_KINDS, "")
    if key in transaction.project.metrics:
        raise conflict(f"a metric with the key {key!r} already exists in project {transaction.project.key!r}")
    made = with_fields(
        transaction,
        Metric(
            key=key,
            name=key,
            id=transaction.world.new_id("metric"),
            version_id=transaction.world.new_uuid("metric-version"),
            created_at=transaction.now,
            kind=kind,
            is_numeric=body.flag("isNumeric", default=False),
            maintainer_id=transaction.member_id,
        ),
        body,
    )
    transaction.put_metric(made)
    transaction.record("metric.created", metric=key)
    return made


def metric_group(transaction: Transaction, body: RequestBody) -> MetricGroup:
    """Create a metric group (LaunchDarkly REST docs, Create metric group, whose list of errors has no 409)."""
    key, kind = read_key(body), body.choice("kind", ("funnel", "standard"), "")
    if key in transaction.project.metric_groups:
        raise invalid_request(
            f"a metric group with the key {key!r} already exists in project {transaction.project.key!r}"
        )
    body.text("maintainerId")
    made = MetricGroup(
        key=key,
        name=body.text("name"),
        id=transaction.world.new_id("metric-group"),
        version_id=transaction.world.new_uuid("metric-group-version"),
        kind=cast("Literal['funnel', 'standard']", kind),
        metrics=metrics_in_group(transaction, body, kind),
        created_at=transaction.now,
        maintainer_id=_maintainer(transaction, body) or "",
        description=body.optional_text("description") or "",
        tags=tuple(dict.fromkeys(body.texts("tags"))),
    )
    transaction.put_metric_group(made)
    transaction.record("metric_group.created", metric_group=key)
    return made


def metrics_in_group(transaction: Transaction, body: RequestBody, kind: str) -> tuple[MetricInGroup, ...]:
    """Return a metric group's members, at least two, each once; those of a funnel are conversions."""
    members = []
    for item in body.objects("metrics"):
        name = item.text("key")
        if name not in transaction.project.metrics:
            raise invalid_request(f"{item.path('key')}: there is no metric {name!r}")
        if kind == "funnel" and transaction.project.metrics[name].is_numeric:
            raise invalid_request(f"{item.path('key')}: a funnel has conversion metrics only, {name!r} is numeric")
        members.append(MetricInGroup(name, item.optional_text("nameInGroup") or transaction.project.metrics[name].name))
    if len({member.key for member in members}) < max(2, len(members)):
        raise invalid_request("metrics must name at least two metrics, each once")
    return tuple(members)


def _maintainer(transaction: Transaction, body: RequestBody) -> str | None:
    member = body.optional_text("maintainerId")
    if member is not None:
        check_member(transaction, member)
    return member or transaction.member_id
