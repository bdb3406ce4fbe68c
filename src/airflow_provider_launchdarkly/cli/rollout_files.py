"""Reads rollout files for `validate` and `plan`, and prints what is wrong with them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from airflow_provider_launchdarkly.rollout.files import NamedRollout


def read_rollouts(paths: Sequence[Path]) -> tuple[list[NamedRollout], int]:
    """Read every valid rollout, and print the problems of the others.

    Args:
        paths: Files and folders.

    Returns:
        The valid rollouts, and the number of problems.
    """
    from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_files, rollout_files

    rollouts, problems = [], 0
    found = list(read_files(rollout_files(paths)))
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
    if not found:
        print(f"no rollout files in {', '.join(map(str, paths))}: name a .yaml file or a folder", file=sys.stderr)
        problems = 1
    return rollouts, problems
