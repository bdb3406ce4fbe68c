"""Read decision records: of each iteration its ending, and its effect as measured at the last look."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from glob import glob, has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.audit_log.store import read_file
from airflow_provider_launchdarkly.decision.boundaries import tail
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from airflow_provider_launchdarkly.decision.verdict import Kind, Reason, Role
from airflow_provider_launchdarkly.portfolio.slabs import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    Entries = Sequence[Mapping[str, Any]]

# What is measured under these says nothing about the treatment.
_WORTHLESS = (Reason.MISMATCH, Reason.NO_TRAFFIC)


class RecordsError(ValueError):
    """Records that cannot be found, read or trusted. The message names the file and the cure."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One iteration of an experiment, by its decision record.

    Attributes:
        record: The file.
        project: Key of the project.
        environment: Key of the environment.
        experiment: Key of the experiment.
        iteration: Id of the iteration.
        at: When it ended, or its latest look took place, by LaunchDarkly's clock.
        kind: How it ended; `wait` if it has not.
        reason: The verdict's reason.
        policy: The policy that judged it.
        metric: The primary metric; None without any look.
        treatment: The treatment that shipped, else the best one; None without any look.
        lift: Its relative lift as measured.
        unbiased: Its lift corrected for the sequential stop, where the record has it.
        direction: Whether a higher or a lower metric is better.
        estimate: The lift in the good direction with its error; None where nothing usable was measured.
        all_estimates: The same of each treatment: all of them teach how large effects are.
        unusable: Why there is no estimate; empty if there is one.
        p_value: Of a ship, the probability of shipping as early and as clearly without an effect; else 1.
    """

    record: str
    project: str
    environment: str
    experiment: str
    iteration: str
    at: datetime
    kind: Kind
    reason: str
    policy: Mapping[str, Any]
    metric: str | None = None
    treatment: str | None = None
    lift: float | None = None
    unbiased: float | None = None
    direction: str | None = None
    estimate: Estimate | None = None
    all_estimates: tuple[Estimate, ...] = ()
    unusable: str = ""
    p_value: float = 1.0

    @property
    def target(self) -> tuple[str, str, str, str]:
        """The identity of the iteration."""
        return self.project, self.environment, self.experiment, self.iteration


@dataclass(frozen=True, slots=True)
class Period:
    """A span of time, by the endings in it.

    Attributes:
        since: Its first moment, aware; None for no limit.
        until: The moment after its last, aware; None for no limit.
        name: For people.
    """

    since: datetime | None = None
    until: datetime | None = None
    name: str = "all records"

    @classmethod
    def of_quarter(cls, text: str) -> Self:
        """Read a calendar quarter in UTC, such as ``2026Q4``.

        Raises:
            ValueError: It is none.
        """
        found = re.fullmatch(r"([12]\d{3})-?[Qq]([1-4])", text)
        if found is None:
            raise ValueError(f"{text!r} is no quarter; write for instance 2026Q4")
        year, quarter = int(found[1]), int(found[2])
        since = datetime(year, 3 * quarter - 2, 1, tzinfo=UTC)
        until = datetime(year + quarter // 4, 3 * quarter % 12 + 1, 1, tzinfo=UTC)
        return cls(since, until, f"{year}Q{quarter}")

    @classmethod
    def between(cls, since: str | None, until: str | None) -> Self:
        """Read a span by ISO dates or times; both ends count. A date is a whole day in UTC.

        Raises:
            ValueError: One is no date and no time, or the span ends before it begins.
        """
        start, end = (None if text is None else _moment(text) for text in (since, until))
        first, last = start[0] if start else None, end[1] if end else None
        if first is not None and last is not None and last <= first:
            raise ValueError(f"--until {until} is before --since {since}; exchange them")
        words = [f"{word} {text}" for word, text in (("since", since), ("until", until)) if text is not None]
        return cls(first, last, " ".join(words) or "all records")

    def has(self, moment: datetime) -> bool:
        """Return whether a moment is in it."""
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)


def read_records(places: Iterable[str], period: Period | None = None) -> tuple[Outcome, ...]:
    """Read all decision records in some places.

    Args:
        places: Files, folders, glob patterns or URLs of them. A folder stands for every ``.jsonl`` file below it.
        period: Only iterations that ended, or were last looked at, in it.

    Returns:
        One entry for each iteration, by time. An iteration with two records (of two runs, each with a folder of its
        own) counts once, by the record that ended first.

    Raises:
        RecordsError: There is no record in a place, or one cannot be read, is broken or is of no known version.
    """
    found: dict[tuple[str, str, str, str], Outcome] = {}
    for path in _files(places):
        outcome = _outcome(str(path), _entries(path))
        if outcome is None:
            continue
        known = found.get(outcome.target)
        if known is None or _precedence(outcome) < _precedence(known):
            found[outcome.target] = outcome
    kept = [outcome for outcome in found.values() if period is None or period.has(outcome.at)]
    return tuple(sorted(kept, key=lambda outcome: (outcome.at, outcome.target)))


def _precedence(outcome: Outcome) -> tuple[bool, float]:
    running = outcome.kind is Kind.WAIT
    return running, -outcome.at.timestamp() if running else outcome.at.timestamp()


def _files(places: Iterable[str]) -> list[Any]:
    files: dict[str, Any] = {}
    for place in places:
        try:
            here = {str(path): path for path in _paths(place)}
        except (OSError, ValueError, ImportError) as error:
            raise RecordsError(f"{place}: {error}") from None
        if not here:
            raise RecordsError(
                f"{place}: there is no decision record; give .jsonl files, or the folder that record_path names"
            )
        files |= here
    return [files[name] for name in sorted(files)]


def _paths(place: str) -> Iterator[Any]:
    path: Any
    if "://" in place:
        from upath import UPath  # as `replay`: outside Airflow there are no connections

        address, _, pattern = place.partition("*")
        if pattern or address != place:
            folder, _, start = address.rpartition("/")
            yield from UPath(folder).glob(f"{start}*{pattern}")
            return
        path = UPath(place)
    elif has_magic(place) and not Path(place).exists():
        # `Path.glob` takes no absolute pattern.
        for name in glob(place, recursive=True):  # noqa: PTH207
            yield from _paths_of(Path(name))
        return
    else:
        path = Path(place)
    yield from _paths_of(path)


def _paths_of(path: Any) -> Iterator[Any]:
    if path.is_dir():
        # A name that begins with a dot is a file that was being written when its process died.
        yield from (file for file in path.rglob("*.jsonl") if not file.name.startswith("."))
    else:
        yield path


def _entries(path: Any) -> Entries:
    try:
        return read_file(path)
    except chain.BrokenRecordError as error:
        raise RecordsError(f"{path}: broken at {error}") from None
    except (OSError, ValueError, ImportError) as error:
        raise RecordsError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None


def _outcome(record: str, entries: Entries) -> Outcome | None:
    """Return the iteration of a record; None for an empty one."""
    if not entries:
        return None
    looks = [entry for entry in entries if entry["evidence"] is not None]
    # A ship stops its iteration; whoever looks again then finds it stopped, which is no other ending.
    ended = next((entry for entry in looks[::-1] if entry["verdict"]["verdict"] != Kind.WAIT), None)
    last = ended or entries[-1]
    target, verdict = last["target"], last["verdict"]
    try:
        start = Outcome(
            record=record,
            project=target["project_key"],
            environment=target["environment_key"],
            experiment=target["experiment_key"],
            iteration=target["iteration_id"],
            at=datetime.fromisoformat(last["at"]),
            kind=Kind(verdict["verdict"]),
            reason=str(verdict["reason"]),
            policy=last["policy"],
            p_value=_p_value(looks),
        )
        return _measured(start, (ended or looks[-1])["verdict"] if looks else None)
    except (KeyError, ValueError, TypeError) as error:
        raise RecordsError(f"{record}: entry {last['seq']} is not of this schema: {error!r}") from None


def _p_value(looks: Entries) -> float:
    """Return the p value of the first look that shipped, by stage-wise ordering; 1 if none did, or without an `alpha`.

    To be as extreme, an experiment without an effect has to cross at an earlier look, or to reach this z at this one
    (Jennison & Turnbull 2000, section 8.4). The first has the error that was spent before. The second has at most what
    this look spends, and at most the tail beyond z. Each of several treatments and primary metrics may be the one, so
    it counts for each.
    """
    before = 0.0
    for entry in looks:
        verdict = entry["verdict"]
        compared = [
            one
            for metric in verdict.get("metrics") or ()
            if metric["role"] == Role.PRIMARY
            for one in metric["comparisons"]
        ]
        if verdict["verdict"] == Kind.SHIP:
            mine = (one["success"] for one in compared if one["treatment_id"] == verdict.get("treatment_id"))
            found = [
                before + min(max(bar["alpha_spent"] - before, 0.0), tail(bar["z"]))
                for bar in mine
                if bar and bar["reached"] and bar["z"] is not None
            ]
            return float(min(len(compared) * max(found, default=1.0), 1.0))
        before = max([before, *(one["success"]["alpha_spent"] for one in compared if one.get("success"))])
    return 1.0


def _measured(start: Outcome, verdict: Mapping[str, Any] | None) -> Outcome:
    """Add what the last look measured."""
    metrics = [metric for metric in (verdict or {}).get("metrics") or () if metric["role"] == Role.PRIMARY]
    if verdict is None or not metrics:
        return replace(start, unusable="it was never looked at")
    compared = [(metric, one) for metric in metrics for one in metric["comparisons"]]
    primary, shown = max(compared, key=lambda pair: _prominence(pair[1], verdict.get("treatment_id")))
    unusable, estimates = "", {}
    if start.kind is Kind.INVALID and start.reason in _WORTHLESS:
        unusable = f"invalid: {start.reason}"
    else:
        estimates = {
            (metric["metric"], one["treatment_id"]): found
            for metric, one in compared
            if (found := _estimate(one, Direction(metric["direction"]).sign, metric["margin"]))
        }
        if (primary["metric"], shown["treatment_id"]) not in estimates:
            unusable = "the lift has no standard error"
    return replace(
        start,
        metric=primary["metric"],
        treatment=shown["treatment"],
        lift=shown.get("lift"),
        unbiased=(shown.get("estimate") or {}).get("median_unbiased"),
        direction=primary["direction"],
        estimate=estimates.get((primary["metric"], shown["treatment_id"])),
        all_estimates=tuple(estimates.values()),
        unusable=unusable,
    )


def _prominence(compared: Mapping[str, Any], shipped: str | None) -> tuple[bool, bool, float]:
    """Return what makes a comparison the one to show: it shipped, it passed, the evidence is strong."""
    passed = bool(compared.get("success") and compared["success"]["reached"])
    return compared["treatment_id"] == shipped, passed, -math.inf if compared.get("z") is None else compared["z"]


def _estimate(compared: Mapping[str, Any], sign: int, margin: float) -> Estimate | None:
    """Return the lift in the good direction, with the standard error of the difference as a share of the baseline."""
    lift, error, mean = (compared.get(name) for name in ("lift", "standard_error", "baseline_mean"))
    if lift is None or not error or not mean:
        return None
    relative = error / abs(mean)
    return Estimate(sign * lift, relative, margin) if math.isfinite(lift) and math.isfinite(relative) else None


def _moment(text: str) -> tuple[datetime, datetime]:
    """Return the first moment of a date or time, and the one after it."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is no date and no time; write for instance 2026-12-31") from None
        aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
        return aware, aware + timedelta(microseconds=1)
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return start, start + timedelta(days=1)
