"""A sample look on LaunchDarkly's tables: arms, metric versions, the statement, and its numbers beside the API's."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.api.errors import ApiError, LaunchDarklyError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.doctor.account import NothingToReadError
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.results import Route, results_routes
from airflow_provider_launchdarkly.doctor.words import Key, Keys, Told, say
from airflow_provider_launchdarkly.evidence.launchdarkly_results import evidence_from_results
from airflow_provider_launchdarkly.evidence.source import LookContext, Target
from airflow_provider_launchdarkly.evidence.sql_cells import read_moment
from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults, WarehouseNativeResults
from airflow_provider_launchdarkly.evidence.warehouse.data_export import DataExportSource
from airflow_provider_launchdarkly.evidence.warehouse.native import WarehouseNativeSource, write_aggregates_statement
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness
    from airflow_provider_launchdarkly.doctor.warehouse import Warehouse
    from airflow_provider_launchdarkly.evidence.source import Source
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.evidence.warehouse.data_export import Export

# LaunchDarkly's own results are of this minute, and rows come in batches: those since the newest row are missing.
_AGREES: Final = 0.02
_UNEVEN: Final = 1.5
_BATCH: Final = timedelta(hours=1)


def check_export(account: Account, warehouse: Warehouse, _like: Likeness) -> Iterator[Finding]:
    """Compute the primary metric from the Data Export, as a sensor would, and show the statement."""
    if not warehouse.has_export():
        return
    results = DataExportResults(conn_id=warehouse.conn_id, schema=warehouse.schema)
    sent: list[Statement] = []

    def query(export: Export) -> tuple[Sequence[str], Iterable[Sequence[Any]]]:
        def write(dialect: str) -> Statement:
            statement = write_statement(export.metrics, export.look, results.exposures, results.schema_name, dialect)
            sent.append(statement)
            return statement

        return warehouse.query(write)

    context, source = _context(account, warehouse), DataExportSource(results, {}, query)
    yield from _look(account, context, "export look", source, sent=sent, through=warehouse.newest)


def check_native(account: Account, warehouse: Warehouse, like: Likeness) -> Iterator[Finding]:
    """Read the sums of a warehouse-native experiment, and find the mapping of its arms and metric versions."""
    if not warehouse.has_results():
        return
    context = _context(account, warehouse)
    results = WarehouseNativeResults(conn_id=warehouse.conn_id, schema=warehouse.results_schema)
    rows = warehouse.query(lambda dialect: write_aggregates_statement(results, context, dialect))[1]
    if not rows:
        yield Finding(
            "arms",
            Status.UNKNOWN,
            say(
                "the table of sums has no analysis of iteration {iteration}",
                iteration=Key("iteration", context.iteration.id),
            ),
            say("that is right unless the experiment is warehouse-native; then refresh its results in LaunchDarkly"),
        )
        return
    versions, arms = {str(row[0]) for row in rows}, {str(row[1]) for row in rows}
    treatments = context.iteration.treatments
    ids = {treatment.id for treatment in treatments}
    served = {parameter.variation_id for treatment in treatments for parameter in treatment.parameters}
    mapped = "treatment_id" if arms <= ids else "variation_id" if arms <= served else None
    if mapped is None:
        yield Finding(
            "arms",
            Status.MISSING,
            say("arms {arms} are neither treatments nor variations", arms=Keys("arm", tuple(sorted(arms)))),
            say("set arms of WarehouseNativeResults to a mapping from each arm to a treatment"),
        )
        return
    like.warehouse["arm_ids"] = mapped.removesuffix("_id")
    yield Finding(
        "arms",
        Status.FINE,
        say("each arm has the id of a {what} (arms: {mapped})", what=mapped.removesuffix("_id"), mapped=mapped),
    )
    unknown = [
        metric.key
        for metric in (last for each in context.iteration.measured for last in (each.metrics or (each,))[-1:])
        if metric.version_id not in versions
    ]
    if unknown:
        yield Finding(
            "versions",
            Status.MISSING,
            say(
                "no sums of the version that the iteration holds on to: {metrics}",
                metrics=Keys("metric", tuple(unknown)),
            ),
            say(
                "set metric_versions of WarehouseNativeResults, or wait for an analysis if the metric was added lately"
            ),
        )
    else:
        yield Finding(
            "versions", Status.FINE, say("each metric's sums are of the version that the iteration holds on to")
        )
    sent: list[Statement] = []

    def query(look_context: LookContext) -> Iterable[Sequence[Any]]:
        def write(dialect: str) -> Statement:
            sent.append(write_aggregates_statement(results, look_context, dialect))
            return sent[-1]

        return warehouse.query(write)[1]

    source = WarehouseNativeSource(results.model_copy(update={"arms": mapped}), query)
    analyzed = min(read_moment(row[7]) for row in rows)
    # An analysis sees the batches that were there, and they come hourly.
    through = min(analyzed - _BATCH, warehouse.newest or analyzed)
    yield from _look(account, context, "native look", source, sent=sent, through=through)


def _context(account: Account, warehouse: Warehouse) -> LookContext:
    iteration = account.iteration
    if iteration.started_at is None:
        raise NothingToReadError("LaunchDarkly does not show when the iteration started")
    target = Target(account.env, account.experiment.key, iteration.id)
    return LookContext(target, iteration, iteration.started_at, iteration.ended_at or warehouse.now)


def _look(
    account: Account,
    context: LookContext,
    check: str,
    source: Source,
    *,
    sent: list[Statement],
    through: datetime | None,
) -> Iterator[Finding]:
    """Take the look, and show statement and numbers.

    Args:
        account: The account.
        context: The look.
        check: Name of the lines.
        source: The source of evidence.
        sent: The statements that the source sends.
        through: The time through which the tables have rows; None if unknown.
    """
    policy = Policy()
    problem: Exception | None = None
    try:
        found = account.run(source(context, policy))
    except Exception as error:  # noqa: BLE001 - LaunchDarkly's, or of whatever driver
        problem = error
    if sent:
        yield _statement(check, sent[-1])
    if problem is not None:
        known = isinstance(problem, LaunchDarklyError)
        yield Finding(
            check,
            Status.MISSING if known else Status.FAILED,
            say("no numbers: {error}", error=Told.of(problem)),
            say("follow the message; in a bug report paste the summary"),
        )
        return
    theirs = _launchdarklys(account, context, policy)
    yield from _compared(check, found, theirs, _still_to_come(context, through))


def _statement(check: str, statement: Statement) -> Finding:
    lines, values = len(statement.sql.splitlines()), len(statement.parameters)
    text = f"the statement, with parameters {list(map(str, statement.parameters))}:\n{statement.sql}"
    return Finding(
        check, Status.FINE, say("{text}", text=Told(text, f"one statement of {lines} lines and {values} values"))
    )


def _launchdarklys(account: Account, context: LookContext, policy: Policy) -> Evidence | None:
    if results_routes(account).get("metric") is not Route.PRESENT:
        return None
    try:
        return account.run(evidence_from_results(context, policy))
    except ApiError:
        return None


def _still_to_come(context: LookContext, through: datetime | None) -> float:
    """Return the share of the units that may still be to come: those of the time since the rows end."""
    since = context.at - (through or context.at - _BATCH)
    return _UNEVEN * max(since, timedelta()) / max(context.elapsed, _BATCH)


def _compared(check: str, found: Evidence, theirs: Evidence | None, to_come: float) -> Iterator[Finding]:
    metric = found.metrics[0]
    own = {measured.treatment_id: measured for measured in theirs.metrics[0].measurements} if theirs else {}
    if not metric.measurements:
        yield Finding(
            check,
            Status.MISSING,
            say("the tables have no unit of the iteration yet"),
            say("wait for the next batch; then look at environment, schema and iteration"),
        )
        return
    names = {treatment.id: treatment.name for treatment in found.treatments}
    worst = 0.0
    for measured in metric.measurements:
        beside = own.get(measured.treatment_id)
        numbers = _numbers(measured)
        apart = ""
        if beside is not None:
            units, mean = _apart(measured.units, beside.units), _apart(measured.mean or 0.0, beside.mean or 0.0)
            # Fewer units may be rows that are still to come, as many as chance brings (Poisson).
            room = to_come + 3 * math.sqrt(to_come / max(beside.units, 1)) if measured.units < beside.units else 0.0
            worst = max(worst, units - room)
            numbers += f"; LaunchDarkly's own: {_numbers(beside)}"
            apart = f", units {units:.1%} and mean {mean:.1%} from LaunchDarkly's own"
        yield Finding(
            check,
            Status.FINE,
            say(
                "{treatment}: {numbers}{apart}",
                treatment=Key("treatment", names[measured.treatment_id]),
                numbers=Told(
                    numbers, "there are units, a mean and a deviation" if measured.units > 1 else "too few units"
                ),
                apart=apart,
            ),
        )
    if not own:
        what = say("there are no numbers of LaunchDarkly's own to compare with")
        yield Finding(check, Status.UNKNOWN, what, say("compare with the experiment's page in LaunchDarkly"))
    elif worst > _AGREES:
        yield Finding(
            check,
            Status.MISSING,
            say("the units are further from LaunchDarkly's own than rows that are still to come explain"),
            say("compare environment, randomization unit and filters, and look for rows that a view or a load repeats"),
        )


def _numbers(measured: Any) -> str:
    mean = "no mean" if measured.mean is None else f"mean {measured.mean:.6g}"
    deviation = "no deviation" if measured.std_dev is None else f"deviation {measured.std_dev:.6g}"
    return f"{measured.units} units, {mean}, {deviation}"


def _apart(found: float, theirs: float) -> float:
    return abs(found - theirs) / abs(theirs) if theirs else float(found != theirs)
