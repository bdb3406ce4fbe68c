"""Reads rollout files for `validate` and `plan`, and prints what is wrong with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_launchdarkly.rollout.files import NamedRollout


def read_rollouts(paths: Sequence[Path], *, concerns: bool = False) -> tuple[list[NamedRollout], int]:
    """Read every valid rollout, and print the problems of the others.

    Args:
        paths: Files and folders.
        concerns: True to look for the concerns about each rollout too.

    Returns:
        The valid rollouts, and the number of problems.
    """
    from airflow_provider_launchdarkly.rollout.files import (
        Broken,
        NamedRollout,
        read_files,
        rollout_files,
    )
    from airflow_provider_launchdarkly.rollout.known_good import KnownGood
    from airflow_provider_launchdarkly.rollout.metric_sections import is_metrics_file

    rollouts, problems = [], 0
    known_good = KnownGood.configured()
    found = list(read_files(rollout_files(paths), known_good=known_good, concerns=concerns))
    for entry in found:
        if isinstance(entry, Broken):
            wrong = entry.problems
        else:
            wrong = (entry.calendar_problem,) if entry.calendar_problem else ()
        for problem in wrong:
            print(problem, file=sys.stderr)
        problems += len(wrong)
        if isinstance(entry, NamedRollout) and not wrong:
            rollouts.append(entry)
    if not found and not any(is_metrics_file(file) for file in rollout_files(paths)):
        print(f"no rollout files in {', '.join(map(str, paths))}: name a .yaml file or a folder", file=sys.stderr)
        problems = 1
    return rollouts, problems
