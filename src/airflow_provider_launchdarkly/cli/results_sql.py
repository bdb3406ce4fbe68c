"""The command `results-sql`: the exact statement that a look sends to the warehouse, with its parameters."""

from __future__ import annotations

import argparse
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.past_looks import policy_of, results_of
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.source import LookContext
    from airflow_provider_launchdarkly.evidence.sql_statement import Statement
    from airflow_provider_launchdarkly.evidence.warehouse.config import DataExportResults, WarehouseNativeResults


def add_parser(commands: Commands) -> None:
    """Add `results-sql` to the command line."""
    parser = commands.add_parser(
        "results-sql",
        help="print the statement that reads an experiment's results from LaunchDarkly's tables",
        description=(
            "Print the exact statement that a look sends to the warehouse, with its parameters as comments. It runs "
            f"nothing there. {CONNECTION}"
        ),
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="key of the experiment")
    parser.add_argument(
        "--results", required=True, type=Path, metavar="FILE", help="the source, as `results` of a rollout: a YAML file"
    )
    parser.add_argument("--dialect", metavar="NAME", help="postgresql, snowflake, ... [that of the connection]")
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy as a YAML file")
    parser.add_argument("--preset", metavar="NAME", help="a preset instead of a file: balanced, do_no_harm, ...")
    parser.add_argument("--iteration", metavar="ID", help="the iteration [the running one, else the latest]")
    parser.add_argument("--at", metavar="TIME", type=_moment, help="time of the look, ISO 8601 [now]")
    parser.add_argument("--inline", action="store_true", help="write the values into the text, to paste it")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Print the statement.

    Raises:
        CliError: A file is wrong, or LaunchDarkly cannot be read.
    """
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.cli.warehouse_errors import reading
    from airflow_provider_launchdarkly.evidence.sql_config import SqlResults
    from airflow_provider_launchdarkly.evidence.warehouse.dialects import dialect_of
    from airflow_provider_launchdarkly.sensors._warehouse_query import dialect_of_connection

    try:
        policy, results = policy_of(arguments), results_of(arguments.results)
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from error
    if isinstance(results, SqlResults):
        raise CliError(
            "results-sql prints the statement of source data_export or warehouse_native; that of source sql is the "
            "query that you wrote yourself"
        )
    with reading(results, arguments.results):
        dialect = dialect_of(arguments.dialect or dialect_of_connection(results.conn_id))
        access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
        settings = access.settings(DEFAULT_CONNECTION)
        environment = access.environment_ref(settings, None, None)
        with Clients() as clients:
            look, statement = clients.of(settings).run(_write(environment, arguments, policy, results, dialect.name))
        text = _inline(statement, dialect.placeholder, dialect.name) if arguments.inline else _commented(statement)
    print(f"-- {arguments.experiment}, iteration {look.iteration.id}, as of {look.at.astimezone(UTC):%F %T} UTC")
    print(f"-- {dialect.name}\n{text}")
    return ExitCode.OK


def _write(
    environment: EnvironmentRef,
    arguments: argparse.Namespace,
    policy: Policy,
    results: DataExportResults | WarehouseNativeResults,
    dialect: str,
) -> Procedure[tuple[LookContext, Statement]]:
    """Read the iteration, and write what a look of it asks of the tables."""
    from airflow_provider_launchdarkly.api.endpoints import get_experiment
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS, pinned
    from airflow_provider_launchdarkly.evidence.source import LookContext, Target
    from airflow_provider_launchdarkly.evidence.warehouse.config import WarehouseNativeResults
    from airflow_provider_launchdarkly.evidence.warehouse.native import write_aggregates_statement
    from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
    from airflow_provider_launchdarkly.sensors._sources import export_source

    response = yield get_experiment(environment, arguments.experiment, expand=ITERATIONS)
    experiment: Experiment = response.value
    iteration = pinned(experiment, arguments.iteration) if arguments.iteration else experiment.latest_started
    if iteration is None or iteration.started_at is None:
        raise ValueError(f"experiment {arguments.experiment!r} has no iteration that was started: nothing to compute")
    look = LookContext(
        Target(environment, arguments.experiment, iteration.id),
        iteration,
        iteration.started_at,
        arguments.at or response.server_time,
        burn_in=policy.burn_in,
        maturity=policy.maturity,
    )
    if isinstance(results, WarehouseNativeResults):
        return look, write_aggregates_statement(results, look, dialect)
    export = yield from export_source(results).export(look, policy)
    statement = write_statement(
        export.metrics, export.look, results.exposures, results.schema_name, dialect, where=results.where
    )
    return look, statement


def _commented(statement: Statement) -> str:
    values = [f"-- {number}: {value!r}" for number, value in enumerate(statement.parameters, 1)]
    return "\n".join(["-- parameters, in the order of their placeholders:", *values, statement.sql])


def _inline(statement: Statement, placeholder: str, dialect: str) -> str:
    """Write the values into the text, as the database writes them."""
    values = iter(statement.parameters)
    pattern = "%%|%s" if placeholder == "%s" else re.escape(placeholder)
    if placeholder != "%s" and statement.sql.count(placeholder) != len(statement.parameters):
        raise ValueError(f"the condition `where` holds the sign {placeholder!r} itself: print it without --inline")
    text = re.sub(pattern, lambda sign: "%" if sign[0] == "%%" else _literal(next(values), dialect), statement.sql)
    return f"-- the values are written into the text: for a person to run, not as the sensor runs it\n{text}"


def _literal(value: Any, dialect: str) -> str:
    if not isinstance(value, str):
        return repr(value)
    text: str = value.replace("\\", "\\\\") if dialect in {"bigquery", "databricks", "snowflake"} else value
    quote = "\\'" if dialect in {"bigquery", "databricks"} else "''"
    return "'" + text.replace("'", quote) + "'"


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no time: write ISO 8601, such as 2026-03-10T09:00Z") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
