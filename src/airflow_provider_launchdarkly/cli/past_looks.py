"""The command `past-looks`: what a policy would have decided at each look of an iteration, from the warehouse."""

from __future__ import annotations

import contextlib
import io
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.checks.significance_result import SignificanceResult
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.evidence.results_config import Results


def add_parser(commands: Commands) -> None:
    """Add `past-looks` to the command line."""
    parser = commands.add_parser(
        "past-looks",
        help="what a policy would have decided at each look of an iteration, from the warehouse",
        description=(
            "Take the looks of an iteration again from the rows in the warehouse, each as of its time, and say what a "
            f"policy would have decided. Only reads. {CONNECTION} The warehouse's is AIRFLOW_CONN_… as well."
        ),
    )
    parser.add_argument("experiment", metavar="EXPERIMENT", help="key of the experiment")
    parser.add_argument(
        "--results", required=True, type=Path, metavar="FILE", help="the source, as `results` of a rollout: a YAML file"
    )
    parser.add_argument("--policy", type=Path, metavar="FILE", help="policy as a YAML file")
    parser.add_argument("--preset", metavar="NAME", help="a preset instead of a file: balanced, do_no_harm, ...")
    parser.add_argument("--iteration", metavar="ID", help="the iteration [the running one, else the latest]")
    parser.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Take the looks and print a line for each.

    Raises:
        CliError: A file is wrong, or LaunchDarkly or the warehouse cannot be read.
    """
    from airflow_provider_launchdarkly.checks.past_looks import take_past_looks
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.cli.warehouse_errors import reading

    try:
        policy, results = policy_of(arguments), results_of(arguments.results)
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from error
    with reading(results, arguments.results):
        access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
        settings = access.settings(DEFAULT_CONNECTION)
        environment = access.environment_ref(settings, None, None)
        # Airflow's hooks log each statement to the standard output, which is the report's.
        with Clients() as clients, contextlib.redirect_stdout(io.StringIO()):
            from airflow_provider_launchdarkly.sensors._sources import source_outside_tasks

            source = source_outside_tasks(results, arguments.results.parent, policy)
            looks = clients.of(settings).run(
                take_past_looks(environment, arguments.experiment, arguments.iteration, policy, source)
            )
    if arguments.json:
        print(json.dumps([look.to_record() for look in looks], indent=2))
    else:
        print("\n".join(_lines(looks)))
    return ExitCode.OK


def _lines(looks: Sequence[SignificanceResult]) -> Iterator[str]:
    target = looks[0].target
    yield f"{target.experiment_key}, iteration {target.iteration_id}"
    for look in looks:
        yield f"{look.at:%Y-%m-%d %H:%M} UTC  {look.verdict.kind.value:<12} {look.summary}"
    last = looks[-1].verdict
    days = f"on day {last.elapsed.total_seconds() / 86400:.1f}"
    yield f"It would have ended {last.kind.value} {days}." if last.ends else f"It would still be waiting {days}."


def policy_of(arguments: argparse.Namespace) -> Policy:
    """Return the policy that a command names.

    Raises:
        ValueError: It is wrong, or there are two.
    """
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_files import read_policy

    if arguments.policy is not None and arguments.preset is not None:
        raise ValueError("give a policy file or --preset NAME, and not both")
    if arguments.policy is not None:
        return read_policy(arguments.policy)
    return Policy.preset(arguments.preset) if arguments.preset is not None else Policy()


def results_of(file: Path) -> Results:
    """Read a description from a file: its fields, or a mapping with `results`."""
    from airflow_provider_launchdarkly.config.problems import InvalidSettingError, Problem, field_name
    from airflow_provider_launchdarkly.config.regular_files import read_text
    from airflow_provider_launchdarkly.config.strict_yaml import DocumentError, read_document
    from airflow_provider_launchdarkly.evidence.results_config import read_results
    from airflow_provider_launchdarkly.rollout.metric_sections import lay_under

    try:
        document = read_document(read_text(file))
    except DocumentError as error:
        raise ValueError(str(Problem(file, error.line, "", str(error)))) from None
    content: Any = document.value
    if isinstance(content, dict) and set(content) == {"results"}:
        content = content["results"]
    try:
        return read_results(lay_under(content, {}, file))
    except InvalidSettingError as error:
        within = ("results",) if content is not document.value else ()
        problems = (
            Problem(file, document.line((*within, *flaw.path)), field_name(flaw.path), flaw.message)
            for flaw in error.flaws
        )
        raise ValueError("\n".join(map(str, problems)) or f"{file}: {error}") from None
