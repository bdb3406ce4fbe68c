"""The rules that a rollout file has to meet so that Airflow can load its DAG. Imports no Airflow.

The command `validate` and the loader both read files by these rules, so that neither accepts what the other refuses.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.window import NeverOpenError
from airflow_provider_launchdarkly.decision.cron import Cron
from airflow_provider_launchdarkly.decision.schedule import look_times

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path as FilePath

    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
    from airflow_provider_launchdarkly.config.strict_yaml import Path
    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
    from airflow_provider_launchdarkly.rollout.spec import Rollout

MARKS = ("{{", "{%", "{#")
"""The marks of Jinja."""

BROKEN = ".broken"
"""The suffix of the DAG that stands for a broken rollout."""

LONGEST_NAME = 200

# Airflow's rule for the ids of DAGs (airflow/sdk/definitions/_internal/node.py).
_DAG_ID = re.compile(rf"[\w.-]{{1,{LONGEST_NAME}}}", re.ASCII)
_NOT_IN_A_DAG_ID = re.compile(r"[^\w.-]+", re.ASCII)

# Schedules of Airflow that are no cron expressions.
_WORDS = frozenset({"@once", "@continuous"})

FAR = timedelta(days=50 * 365)
"""As far as Airflow lets croniter search for the next run and for the one before."""

# A cron expression has five fields, and a sixth for seconds or a year.
_WITHOUT_YEAR = 5

# Well within the days in which a change window has to open.
_NEAR = timedelta(days=700)


def check_name(name: str) -> None:
    """Check the name of a rollout, which is its DAG's id.

    Raises:
        ValueError: Airflow would refuse the name, or it is the name of a stand-in.
    """
    if not _DAG_ID.fullmatch(name):
        raise ValueError(
            f"the name {name!r} cannot be a DAG's id: letters, digits, '.', '_' and '-', at most {LONGEST_NAME}"
        )
    if name.endswith(BROKEN):
        raise ValueError(f"the name {name!r} ends in {BROKEN}, as the DAGs of broken rollouts do; take another")


def name_from(key: str) -> str:
    """Return a rollout's name made from an experiment's key."""
    name = _cleaned(key)
    return f"{name}-experiment"[-LONGEST_NAME:] if name.endswith(BROKEN) else name


def check_schedule(schedule: str, timezone: str = "UTC") -> None:
    """Check a schedule as Airflow would, and more: it must have runs before and after now.

    Args:
        schedule: A cron expression, or one of Airflow's presets.
        timezone: IANA name of its time zone.

    Raises:
        ValueError: Airflow cannot read the schedule, or cannot compute its runs; or the zone is unknown.
    """
    if schedule in _WORDS:
        Cron.parse("@daily", timezone)
        return
    cron = Cron.parse(schedule, timezone)
    now = datetime.now(UTC)
    runs = (cron.before(now), cron.after(now))
    if any(run is None or abs(run - now) > FAR for run in runs):
        raise ValueError(f"cron {schedule!r} does not fire before and after now; leave the year out")


def check_tasks(rollout: Rollout) -> None:
    """Check what the rollout's tasks check when they are made, and the experiment that they would create.

    Raises:
        ConfigurationError: A task would refuse its arguments.
    """
    # Imported here: only files are checked so, and rollouts in code are checked by their tasks.
    from airflow_provider_launchdarkly.api.models import ExperimentPost
    from airflow_provider_launchdarkly.operators._design import IterationDesign
    from airflow_provider_launchdarkly.rollout.requests import experiment_fields, stage_design

    for number in range(len(rollout.stages)):
        IterationDesign(**stage_design(rollout, number)).check()
    iteration = {
        "hypothesis": rollout.experiment.hypothesis,
        "metrics": [{"key": "metric"}],
        "treatments": [
            {
                "name": "all",
                "baseline": True,
                "allocation_percent": "100",
                "parameters": [{"flag_key": "flag", "variation_id": "id"}],
            }
        ],
        "flags": {"flag": {"rule_id": "rule"}},
        "primary_single_metric_key": "metric",
    }
    ExperimentPost.checked({**experiment_fields(rollout), "iteration": iteration})


def wrong_values(rollout: Rollout) -> Iterator[tuple[Path, str]]:
    """Yield the field and the message of each value that only the whole rollout shows to be wrong."""
    try:
        check_tasks(rollout)
    except ConfigurationError as error:
        yield ("experiment",), str(error)
    if rollout.policy.looks.cron is not None:
        last = len(rollout.stages) - 1
        try:
            look_times(rollout.policy_of(last, extended=rollout.extends), datetime.now(UTC))
        except ValueError as error:
            yield ("policy", "looks"), str(error)
    yield from wrong_window(rollout)


def wrong_window(rollout: Rollout | ReleaseRollout) -> Iterator[tuple[Path, str]]:
    """Yield the field and the message of a change window that never opens."""
    window = rollout.change_window
    if window is not None:
        try:
            _next_opening(window.with_calendar(), datetime.now(UTC))
        except CalendarError:
            pass  # `calendar_problem` of the file reports it: such a rollout keeps its DAG
        except NeverOpenError:
            yield ("change_window",), "never opens: shorten `blackout`, or add to `weekdays` and `hours`"


def good_until(rollout: Rollout, schedule: str | None, now: datetime) -> datetime | None:
    """Return until when a valid rollout stays valid while its file and the files that it names stay as they are.

    Args:
        rollout: The rollout, valid now.
        schedule: Its DAG's schedule.
        now: The time at which it was found valid.

    Returns:
        None if that is not known: looks at cron times depend on the day, and so does a schedule with a year.
    """
    if rollout.policy.looks.cron is not None or (schedule is not None and len(schedule.split()) > _WITHOUT_YEAR):
        return None
    if rollout.change_window is None:
        return now + FAR
    try:
        # It is good while an opening is ahead, and this one is, until it has begun.
        opening = _next_opening(rollout.change_window.with_calendar(), now + timedelta(days=1))
    except ValueError:
        return None
    return opening if opening - now < _NEAR else None


def _next_opening(window: ChangeWindow, at: datetime) -> datetime:
    """Return `ChangeWindow.next_opening`; the many rollouts of a fleet that share a window find it once an hour."""
    opening = _opening_after(window, at.replace(minute=0, second=0, microsecond=0))
    return opening if opening >= at else window.next_opening(at)


@lru_cache(maxsize=256)
def _opening_after(window: ChangeWindow, at: datetime) -> datetime:
    return window.next_opening(at)


def templates(value: Any, place: Path = ()) -> Iterator[tuple[Path, str]]:
    """Yield the field and the message of each text with Jinja in it. Airflow would render it in some fields only."""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from templates(key, (*place, key))
            yield from templates(part, (*place, key))
    elif isinstance(value, list):
        for number, part in enumerate(value):
            yield from templates(part, (*place, number))
    elif isinstance(value, str) and any(mark in value for mark in MARKS):
        yield place, f"{value!r} is Jinja, which files do not have; write the value, or make the rollout in Python"


def stand_in_ids(broken: Iterable[tuple[str, FilePath]]) -> list[str]:
    """Return an id for the DAG of each broken rollout or file. No two are equal, and Airflow accepts each.

    Args:
        broken: The name of the rollout, or of the file without its suffix; and the file.

    Returns:
        The first of ``<name>``, ``<folder>.<name>``, ``<folder>.<file>`` that is not taken, else a number after it; and
        the suffix ``.broken``.
    """
    ids: list[str] = []
    for name, file in broken:
        folder = file.parent.name
        parts = (name, f"{folder}.{name}", f"{folder}.{file.name}", *(f"{name}-{count}" for count in range(2, 1000)))
        candidates = (f"{_cleaned(part)}{BROKEN}" for part in parts)
        ids.append(next((candidate for candidate in candidates if candidate not in ids), f"{len(ids)}{BROKEN}"))
    return ids


def _cleaned(name: str) -> str:
    """Return a name with only the characters of a DAG's id; of a long one the end, which tells it apart."""
    return _NOT_IN_A_DAG_ID.sub("_", name)[-LONGEST_NAME:] or "_"
