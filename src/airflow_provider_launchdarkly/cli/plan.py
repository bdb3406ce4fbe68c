"""The command `plan`: compare rollout files with LaunchDarkly. Only reads."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.arguments import CONNECTION, add_access, add_files
from airflow_provider_launchdarkly.cli.exit import ExitCode
from airflow_provider_launchdarkly.cli.rollout_files import read_rollouts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.rollout.drift import Drift
    from airflow_provider_launchdarkly.rollout.files import NamedRollout
    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.wave_places import Spot

T = TypeVar("T")

_GUARDING = "; no read says whether LaunchDarkly's plan allows it: doctor --sandbox tries it"
MARKS = {"create": "+", "change": "~", "drifted": "!", "equal": "="}


def add_parser(commands: Commands) -> None:
    """Add `plan` to the command line."""
    parser = commands.add_parser(
        "plan",
        help="compare rollout files with LaunchDarkly",
        description=(
            f"Compare rollout files with LaunchDarkly, field by field. Changes nothing. {CONNECTION} Exits with 1 if a "
            "file or a call fails, with 2 if a rollout differs."
        ),
    )
    add_files(parser)
    add_access(parser)


def run(arguments: argparse.Namespace) -> int:
    """Compare each rollout and print the differences.

    Returns:
        :attr:`ExitCode.ERROR` if a file or a call failed, else :attr:`ExitCode.FINDING` if a rollout differs.
    """
    from airflow_provider_launchdarkly.cli.credentials import Access, Clients
    from airflow_provider_launchdarkly.rollout.drift import DriftStatus, compare
    from airflow_provider_launchdarkly.rollout.release_checks import compare_release
    from airflow_provider_launchdarkly.rollout.spec import Rollout

    rollouts, failures = read_rollouts(arguments.files)
    access = Access(os.environ, arguments.host, arguments.project, arguments.environment)
    counts = dict.fromkeys(DriftStatus, 0)
    with Clients() as clients:
        for name, entry, rollout in _each(rollouts):
            try:
                settings = access.settings(rollout.connection)
                env = access.environment_ref(settings, rollout.project, rollout.environment)
                work = compare(rollout, env) if isinstance(rollout, Rollout) else compare_release(rollout, env)
                drift = clients.of(settings).run(work)
            except LaunchDarklyError as error:
                failures += 1
                print(f"{entry.file}:{entry.line}: {name}: {error}", file=sys.stderr)
                continue
            counts[drift.status] += 1
            print("\n".join(_describe(name, entry, rollout, drift)))
        failures += _tell_what_targets_share(rollouts, _Connections(access, clients))
    print(", ".join(f"{count} {status.value}" for status, count in counts.items()))
    if failures:
        return ExitCode.ERROR
    return ExitCode.OK if counts[DriftStatus.EQUAL] == sum(counts.values()) else ExitCode.FINDING


def _each(entries: Iterable[NamedRollout]) -> Iterator[tuple[str, NamedRollout, Rollout | ReleaseRollout]]:
    """Yield every rollout and release with its name; of a promotion or of waves, that of each environment or target."""
    for entry in entries:
        for name, rollout in entry.by_name():
            yield name, entry, rollout
        for name, release in entry.releases_by_name():
            yield name, entry, release


def _tell_what_targets_share(entries: Iterable[NamedRollout], connections: _Connections) -> int:
    """Print each target that has the place of another one, by what their connections say; return their number."""
    from airflow_provider_launchdarkly.config.problems import Problem, field_name
    from airflow_provider_launchdarkly.rollout.wave_places import shared_now
    from airflow_provider_launchdarkly.rollout.waves import Waves

    found = 0
    for entry in entries:
        waves = entry.content
        if not isinstance(waves, Waves):
            continue
        try:
            flaws = shared_now(dict(zip(waves.targets, waves.rollouts, strict=True)), connections)
        except LaunchDarklyError as error:
            print(f"{entry.file}:{entry.line}: {entry.name}: {error}", file=sys.stderr)
            found += 1
            continue
        for flaw in flaws:
            print(Problem(entry.file, entry.line, field_name(flaw.path), flaw.message), file=sys.stderr)
        found += len(flaws)
    return found


class _Connections:
    """LaunchDarkly behind the connections of the command line."""

    def __init__(self, access: Access, clients: Clients) -> None:
        self._access, self._clients = access, clients

    def spot(self, rollout: Rollout) -> Spot:
        from airflow_provider_launchdarkly.rollout.wave_places import Spot

        settings = self._access.settings(rollout.connection)
        return Spot(settings.client, self._access.environment_ref(settings, rollout.project, rollout.environment))

    def run(self, rollout: Rollout, work: Procedure[T]) -> T:
        return self._clients.of(self._access.settings(rollout.connection)).run(work)


def _describe(name: str, entry: NamedRollout, rollout: Rollout | ReleaseRollout, drift: Drift) -> Iterator[str]:
    from airflow_provider_launchdarkly.rollout.spec import Rollout

    status = drift.status.value
    of_stages = ""
    if isinstance(rollout, Rollout) and drift.stage is not None:
        of_stages = f", stage {drift.stage + 1} of {len(rollout.stages)}"
    iteration = f" ({drift.iteration_status}{of_stages})" if drift.iteration_status else ""
    yield f"{MARKS[status]} {status:8} {name}{iteration}  {entry.file}:{entry.line}"
    yield from _of_experiment(rollout) if isinstance(rollout, Rollout) else _of_release(rollout)
    for warning in drift.warnings:
        yield f"    warning: {warning}"
    for difference in drift.differences:
        if status == "create":
            yield f"    {difference.field}: {difference.asked}"
        else:
            yield f"    {difference.field}: file {difference.asked!r}, LaunchDarkly {difference.found!r}"


def _of_experiment(rollout: Rollout) -> Iterator[str]:
    from airflow_provider_launchdarkly.rollout.concerns import find_concerns
    from airflow_provider_launchdarkly.rollout.release_requests import release_in_words
    from airflow_provider_launchdarkly.rollout.results import describe_results
    from airflow_provider_launchdarkly.rollout.words import retirement_in_words

    if rollout.results is not None:
        yield f"    results: {describe_results(rollout.results)}"
    if rollout.release is not None:
        yield f"    ships {release_in_words(rollout)}{_GUARDING if rollout.release.guarded else ''}"
    if rollout.retire is not None:
        yield f"    afterwards: {retirement_in_words(rollout)}"
    for concern in find_concerns(rollout):
        yield f"    warning: {concern}"


def _of_release(rollout: ReleaseRollout) -> Iterator[str]:
    from airflow_provider_launchdarkly.rollout.shown import window_in_words

    yield f"    releases {rollout.release.in_words}{_GUARDING if rollout.release.guarded else ''}"
    if rollout.approval.before_start:
        yield "    asks a person in Airflow before it starts"
    if rollout.change_window is not None:
        yield f"    starts only {window_in_words(rollout.change_window)}"
