"""Create feature flags, metrics and metric groups from request bodies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, cast

from airflow_provider_launchdarkly.emulator.errors import conflict, invalid_request
from airflow_provider_launchdarkly.emulator.rules.experiment_inputs import key as read_key
from airflow_provider_launchdarkly.emulator.rules.lifecycle import check_member
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.state.flag_models import Flag, FlagConfig, Variation
from airflow_provider_launchdarkly.emulator.state.models import Metric, MetricGroup, MetricInGroup

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

METRIC_KINDS = ("custom", "pageview", "click", "trace")
_CRITERIA = ("HigherThanBaseline", "LowerThanBaseline")


def flag(transaction: Transaction, body: RequestBody) -> Flag:
    """Create a flag, boolean unless the body names variations (LaunchDarkly REST docs, Create a feature flag)."""
    key = read_key(body)
    if key in transaction.project.flags:
        raise conflict(f"a feature flag with the key {key!r} already exists in project {transaction.project.key!r}")
    variations = _variations(transaction, body)
    on, off = _defaults(body, len(variations))
    config = FlagConfig(
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
    made = Flag(
        key=key,
        name=body.text("name"),
        description=body.optional_text("description") or "",
        created_at=transaction.now,
        variations=variations,
        configs=dict.fromkeys(transaction.project.environments, config),
        tags=tuple(dict.fromkeys(body.texts("tags"))),
        maintainer_id=_maintainer(transaction, body),
        temporary=body.flag("temporary", default=True),
        purpose=purpose,
        default_on=on,
        default_off=off,
    )
    transaction.put_flag(made)
    transaction.record("flag.created", flag=key)
    return made


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
    values = [variation.value for variation in variations]
    # `1 == True` in Python, not in JSON.
    if any((type(a), a) == (type(b), b) for i, a in enumerate(values) for b in values[:i]):
        raise invalid_request("variations must have different values")
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
    is_numeric = body.flag("isNumeric", default=False)
    if kind == "custom":
        body.text("eventKey")
        if is_numeric:
            body.text("successCriteria")
    if kind in ("click", "pageview"):
        body.objects("urls")
    event_default = body.object("eventDefault") if "eventDefault" in body else RequestBody({})
    made = Metric(
        key=key,
        name=body.optional_text("name") or key,
        id=transaction.world.new_id("metric"),
        version_id=transaction.world.new_uuid("metric-version"),
        created_at=transaction.now,
        kind=kind,
        is_numeric=is_numeric,
        higher_is_better=body.choice("successCriteria", _CRITERIA, _CRITERIA[0]) == _CRITERIA[0],
        event_key=body.optional_text("eventKey"),
        unit=body.optional_text("unit"),
        unit_aggregation=body.choice("unitAggregationType", ("average", "sum", "count_distinct"), "average"),
        analysis_type=body.choice("analysisType", ("mean", "percentile"), "mean"),
        missing_counts_as_zero=not event_default.flag("disabled", default=False),
        description=body.optional_text("description") or "",
        tags=tuple(dict.fromkeys(body.texts("tags"))),
        maintainer_id=_maintainer(transaction, body),
        randomization_units=body.texts("analysisUnits") or body.texts("randomizationUnits") or ("user",),
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
    made = MetricGroup(
        key=key,
        name=body.text("name"),
        id=transaction.world.new_id("metric-group"),
        version_id=transaction.world.new_uuid("metric-group-version"),
        kind=cast("Literal['funnel', 'standard']", kind),
        metrics=tuple(members),
        created_at=transaction.now,
        maintainer_id=_maintainer(transaction, body) or "",
        description=body.optional_text("description") or "",
        tags=tuple(dict.fromkeys(body.texts("tags"))),
    )
    transaction.put_metric_group(made)
    transaction.record("metric_group.created", metric_group=key)
    return made


def _maintainer(transaction: Transaction, body: RequestBody) -> str | None:
    member = body.optional_text("maintainerId")
    if member is not None:
        check_member(transaction, member)
    return member or transaction.member_id
