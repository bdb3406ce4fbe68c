"""The command `show`: one experiment in the terminal, with the words of its page. Only reads."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.record_files import is_record, read_entries, why_unreadable
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION

if TYPE_CHECKING:
    import argparse

    from airflow_provider_launchdarkly.audit_log.store import StoragePath
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.cli.running_now import Now
    from airflow_provider_launchdarkly.views.model import ExperimentDetail

# Airflow's own name for the setting `[launchdarkly] record_path`.
RECORDS_VARIABLE = "AIRFLOW__LAUNCHDARKLY__RECORD_PATH"


def add_parser(commands: Commands) -> None:
    """Add `show` to the command line."""
    parser = commands.add_parser(
        "show",
        help="what people get now, what comes next and when, why not yet",
        description=(
            "Show one experiment: who gets what now, why it has not been decided, what would have to happen, every "
            "metric, what happened, and how it is decided. A decision record is shown from its file. An experiment is "
            "read from LaunchDarkly, and its looks from its decision record; with --airflow, from the DAG run that "
            f"runs it, as its page has it. {CONNECTION}"
        ),
    )
    parser.add_argument(
        "what", metavar="WHAT", help="an experiment's key; a record's .jsonl file or URL; with --airflow DAG or DAG/RUN"
    )
    parser.add_argument(
        "--connection", metavar="ID", default=DEFAULT_CONNECTION, help="Airflow connection to LaunchDarkly"
    )
    add_access(parser)
    parser.add_argument(
        "--records",
        metavar="FOLDER",
        help=f"record_path's folder, a path or URL; without it {RECORDS_VARIABLE} of the environment",
    )
    parser.add_argument(
        "--airflow",
        metavar="URL",
        help="Airflow's address, to read a run there; without it AIRFLOW_API_URL. The token is in AIRFLOW_API_TOKEN",
    )
    parser.add_argument("--utc", action="store_true", help="times in UTC, not in the terminal's zone")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(arguments: argparse.Namespace) -> int:
    """Read and print.

    Raises:
        CliError: The record or the experiment cannot be read.
    """
    from airflow_provider_launchdarkly.pictures.terminal import experiment_text
    from airflow_provider_launchdarkly.views.model import to_json

    found = _found(arguments)
    if arguments.json:
        shown = [{"standing": chip, **to_json(detail)} for detail, chip in found]
        print(json.dumps(shown[0] if len(shown) == 1 else shown, indent=2))
        return ExitCode.OK
    # The terminal's zone, with its name as the machine has it.
    zone = UTC if arguments.utc else datetime.now().astimezone().tzinfo
    now = datetime.now(UTC)
    text = "\n\n\n".join(
        experiment_text(detail, chip=chip, colour=_in_colour(), zone=zone, now=now) for detail, chip in found
    )
    print(text.encode(sys.stdout.encoding or "utf-8", "replace").decode(sys.stdout.encoding or "utf-8"))
    return ExitCode.OK


def _found(arguments: argparse.Namespace) -> list[tuple[ExperimentDetail, str | None]]:
    """Return the experiments, each with words for where it stands that its state does not say."""
    if is_record(arguments.what):
        return [_of_record(arguments.what)]
    from airflow_provider_launchdarkly.cli.from_airflow import TOKEN_VARIABLE, URL_VARIABLE, AirflowError, read_run

    url = arguments.airflow or os.environ.get(URL_VARIABLE)
    if not url:
        return [_of_experiment(arguments)]
    dag_id, _, run_id = arguments.what.partition("/")
    try:
        details = read_run(url, os.environ.get(TOKEN_VARIABLE, ""), dag_id, run_id or None)
    except AirflowError as error:
        raise CliError(str(error)) from None
    return [(detail, None) for detail in details]


def _of_record(record: str) -> tuple[ExperimentDetail, str]:
    from airflow_provider_launchdarkly.views.records import detail_of_record, verdict_in_words

    try:
        detail = detail_of_record(read_entries(record), path=record, whole=True)
    except (ValueError, OSError, ImportError) as error:
        raise CliError(why_unreadable(record, error)) from None
    return detail, verdict_in_words(detail.summary.look) if detail.summary.look else "nothing judged yet"


def _of_experiment(arguments: argparse.Namespace) -> tuple[ExperimentDetail, str]:
    from airflow_provider_launchdarkly.api.reads.experiments import read_experiment
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.cli.running_now import active_release, experiment_now, flag_now, with_release

    access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
    try:
        settings = access.settings(arguments.connection)
        env = access.environment_ref(settings, None, None)
        with Clients() as clients:
            experiment = clients.of(settings).run(read_experiment(env, arguments.what))
            seen = clients.of(settings).run(flag_now(env, experiment))
            release = clients.of(settings).run(active_release(env, experiment, settings.client.base_url))
    except LaunchDarklyError as error:
        raise CliError(str(error)) from None
    now = with_release(experiment_now(env, experiment, settings.client.base_url, seen), release)
    folder = arguments.records or os.environ.get(RECORDS_VARIABLE)
    if folder and now.iteration_id:
        now = _with_record(now, folder)
    return now.detail, now.chip


def _with_record(now: Now, folder: str) -> Now:
    from airflow_provider_launchdarkly.audit_log.store import read_record
    from airflow_provider_launchdarkly.cli.running_now import with_record
    from airflow_provider_launchdarkly.views.records import detail_of_record

    summary = now.detail.summary
    target = {
        "project_key": summary.project,
        "environment_key": summary.environment,
        "experiment_key": summary.key,
        "iteration_id": now.iteration_id or "",
    }
    try:
        entries = read_record(target, folder, _open)
        return with_record(now, detail_of_record(entries, path=folder, whole=True)) if entries else now
    except (ValueError, OSError, ImportError) as error:
        raise CliError(f"--records {why_unreadable(folder, error)}") from None


def _open(folder: str) -> StoragePath:
    if "://" not in folder:
        return Path(folder)
    from upath import UPath  # outside Airflow there are no connections: the storage finds its credentials itself

    path: StoragePath = UPath(folder)
    return path


def _in_colour() -> bool:
    """Return whether to write in colour: to a terminal that wants it (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
