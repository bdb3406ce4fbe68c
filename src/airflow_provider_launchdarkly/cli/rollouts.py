"""The commands on rollout files: `validate` and `schema`, which need no network, `plan` and `init`, which only read."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
    from airflow_provider_launchdarkly.cli.credentials import Access
    from airflow_provider_launchdarkly.rollout.drift import Drift
    from airflow_provider_launchdarkly.rollout.files import NamedRollout

Commands = Any  # argparse names the class of what `add_subparsers` returns privately

MARKS = {"create": "+", "change": "~", "drifted": "!", "equal": "="}
EQUAL, WRONG, TO_DO = 0, 1, 2


def add_rollout_commands(commands: Commands) -> None:
    """Add `plan`, `validate`, `init` and `schema` to the command line."""
    files = argparse.ArgumentParser(add_help=False)
    files.add_argument(
        "files", nargs="*", type=Path, default=[Path("rollouts")], metavar="FILE", help="files or folders; rollouts/"
    )
    where = argparse.ArgumentParser(add_help=False)
    where.add_argument("--host", help="API base URL, with LAUNCHDARKLY_ACCESS_TOKEN in the environment")
    where.add_argument("--project", help="project, where neither file nor connection names one")
    where.add_argument("--environment", help="environment, likewise")
    connection = (
        "LaunchDarkly is found by the rollout's connection in the environment (AIRFLOW_CONN_<ID>, as JSON or URI), "
        "else by LAUNCHDARKLY_ACCESS_TOKEN."
    )

    plan = commands.add_parser(
        "plan",
        parents=[files, where],
        help="compare rollout files with LaunchDarkly",
        description="Compare rollout files with LaunchDarkly, field by field. Changes nothing. " + connection,
        epilog="Exit code: 0 nothing to do, 2 something to do, 1 a file or a call went wrong.",
    )
    plan.set_defaults(run=_plan, command="plan")

    validate = commands.add_parser(
        "validate",
        parents=[files],
        help="check rollout files, without network",
        description="Check rollout files, without network. Exit code: 0 all are right, 1 one is not.",
    )
    validate.set_defaults(run=_validate, command="validate")

    init = commands.add_parser(
        "init",
        parents=[where],
        help="write a rollout file from an experiment",
        description="Write a commented rollout file from an experiment that exists. " + connection,
    )
    init.add_argument("experiment", metavar="EXPERIMENT", help="the experiment's key")
    init.add_argument("--connection", default="launchdarkly_default", metavar="ID", help="the Airflow connection")
    init.add_argument("--output", type=Path, metavar="FILE", help="write there, to a new file; else to the terminal")
    init.set_defaults(run=_init, command="init")

    schema = commands.add_parser(
        "schema", help="print the JSON Schema of rollout files", description="Print the JSON Schema, for editors."
    )
    schema.set_defaults(run=_schema, command="schema")


def _read(arguments: argparse.Namespace) -> tuple[list[NamedRollout], int]:
    """The rollouts that can be read, and how many problems the others have; those are printed."""
    from airflow_provider_launchdarkly.rollout.files import Broken, read_files, rollout_files

    rollouts, problems = [], 0
    found = list(read_files(rollout_files(arguments.files)))
    for entry in found:
        wrong = entry.problems if isinstance(entry, Broken) else filter(None, [entry.calendar_problem])
        if messages := [str(problem) for problem in wrong]:
            problems += len(messages)
            _complain(messages)
        elif not isinstance(entry, Broken):
            rollouts.append(entry)
    if not found:
        _complain([f"no rollout files in {', '.join(map(str, arguments.files))}"])
        problems = 1
    return rollouts, problems


def _validate(arguments: argparse.Namespace) -> int:
    rollouts, problems = _read(arguments)
    for entry in rollouts:
        for concern in entry.rollout.concerns():
            print(f"{entry.file}:{entry.line}: {entry.name}: warning: {concern}")
    print(f"{len(rollouts)} rollouts are right" + (f", {problems} problems" if problems else ""))
    return WRONG if problems else EQUAL


def _plan(arguments: argparse.Namespace) -> int:
    from airflow_provider_launchdarkly.rollout.drift import DriftStatus, compare

    rollouts, failures = _read(arguments)
    access, clients = _access(arguments), _Clients()
    counts = dict.fromkeys(DriftStatus, 0)
    with clients:
        for entry in rollouts:
            try:
                settings = access.settings(entry.rollout.connection)
                env = access.environment_ref(settings, entry.rollout.project, entry.rollout.environment)
                comparison = clients.of(settings).run(compare(entry.rollout, env))
            except LaunchDarklyError as error:
                failures += 1
                _complain([f"{entry.file}:{entry.line}: {entry.name}: {error}"])
                continue
            counts[comparison.status] += 1
            print("\n".join(_describe(entry, comparison)))
    print(", ".join(f"{count} {standing.value}" for standing, count in counts.items()))
    if failures:
        return WRONG
    return EQUAL if counts[DriftStatus.EQUAL] == len(rollouts) else TO_DO


def _describe(entry: NamedRollout, comparison: Drift) -> Iterator[str]:
    standing = comparison.status.value
    stage = f", stage {comparison.stage + 1} of {len(entry.rollout.stages)}" if comparison.stage is not None else ""
    status = f" ({comparison.iteration_status}{stage})" if comparison.iteration_status else ""
    yield f"{MARKS[standing]} {standing:8} {entry.name}{status}  {entry.file}:{entry.line}"
    for difference in comparison.differences:
        if standing == "create":
            yield f"    {difference.field}: {difference.asked}"
        else:
            yield f"    {difference.field}: file {difference.asked!r}, LaunchDarkly {difference.found!r}"


def _init(arguments: argparse.Namespace) -> int:
    from airflow_provider_launchdarkly.api.endpoints import get_experiment, get_flag
    from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
    from airflow_provider_launchdarkly.rollout.export import flag_of, initial_file

    access, clients = _access(arguments), _Clients()
    try:
        settings = access.settings(arguments.connection)
        env = access.environment_ref(settings, None, None)
        with clients:
            client = clients.of(settings)
            experiment = client.send(get_experiment(env, arguments.experiment, expand=ITERATIONS)).value
            key = flag_of(experiment)
            flag = client.send(get_flag(env.project_key, key, environments=(env.environment_key,))).value
        text = initial_file(env, experiment, flag)
        if arguments.output is None:
            print(text, end="")
        else:
            with arguments.output.open("x", encoding="utf-8") as file:
                file.write(text)
    except FileExistsError:
        _complain([f"{arguments.output} is there already; name another file"])
        return WRONG
    except (LaunchDarklyError, OSError) as error:
        _complain([str(error)])
        return WRONG
    return EQUAL


def _schema(arguments: argparse.Namespace) -> int:  # noqa: ARG001 - it has none
    from airflow_provider_launchdarkly.rollout.schema import file_schema

    print(json.dumps(file_schema(), indent=2))
    return EQUAL


def _access(arguments: argparse.Namespace) -> Access:
    from airflow_provider_launchdarkly.cli.credentials import Access

    return Access(os.environ, arguments.host, arguments.project, arguments.environment)


def _complain(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, file=sys.stderr)


class _Clients:
    """A client for each connection, closed at the end."""

    def __init__(self) -> None:
        self._clients: dict[Any, LaunchDarklyClient] = {}

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        for client in self._clients.values():
            client.close()

    def of(self, settings: Any) -> LaunchDarklyClient:
        from dataclasses import asdict

        from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient

        if settings.client not in self._clients:
            self._clients[settings.client] = LaunchDarklyClient(**asdict(settings.client))
        return self._clients[settings.client]
