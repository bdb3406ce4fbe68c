"""Reads rollouts from YAML files; each error has its file, line and field. No network, no Airflow.

A file has rollouts by name, and `defaults` and `metrics` for all of them; or it has only `metrics`, for the rollouts
that name it. A rollout that is wrong does not affect the others.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel, ValidationError

from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.config.defaults import lay_over
from airflow_provider_launchdarkly.config.problems import (
    Flaw,
    InvalidSettingError,
    Problem,
    field_name,
    find_flaws,
)
from airflow_provider_launchdarkly.config.regular_files import open_regular, why_unread
from airflow_provider_launchdarkly.config.strict_yaml import Document, DocumentError, read_document
from airflow_provider_launchdarkly.rollout.content import (
    read_content,
    releases_by_key,
    rollouts_by_key,
    rollouts_of,
    told_once,
)
from airflow_provider_launchdarkly.rollout.dag_settings import DagSettings
from airflow_provider_launchdarkly.rollout.entries import RELEASE, WHOLE
from airflow_provider_launchdarkly.rollout.file_names import files_below
from airflow_provider_launchdarkly.rollout.known_good import KnownGood, Stamp, digest, is_settled, signature
from airflow_provider_launchdarkly.rollout.loadable import (
    FAR,
    MARKS,
    check_name,
    good_until,
    templates,
    wrong_values,
    wrong_window,
)
from airflow_provider_launchdarkly.rollout.metric_sections import SECTION, holds_only_metrics, lay_under, section_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.config.strict_yaml import Path
    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings
    from airflow_provider_launchdarkly.rollout.content import Content
    from airflow_provider_launchdarkly.rollout.entries import Check
    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
    from airflow_provider_launchdarkly.rollout.spec import Rollout

Model = TypeVar("Model", bound=BaseModel)

SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class NamedRollout:
    """A valid rollout of a file.

    Attributes:
        name: The rollout's name, which is its DAG's id.
        file: The file.
        line: The line of its name.
        models: Returns the rollout, the promotion, the waves or the releases, and the settings of its DAG.
        calendar_problem: Why its change window's calendar cannot be read; None if it can, or if it names none. Only
            starting and shipping need the calendar: a running rollout must be able to roll back without it.
        concerns: A sentence for each setting that is allowed but suspicious; None if nobody asked for them.
    """

    name: str
    file: FilePath
    line: int
    models: Callable[[], tuple[Content, DagSettings]] = field(repr=False, compare=False)
    calendar_problem: Problem | None = None
    concerns: tuple[str, ...] | None = None

    @property
    def content(self) -> Content:
        """The rollout, the promotion, the waves or the releases, defaults included.

        A known good file is read when first asked for.

        Raises:
            InvalidSettingError: What the file names is not valid any more.
        """
        return self.models()[0]

    @property
    def rollout(self) -> Rollout:
        """The rollout; of a promotion or of waves, that of the last environment or target.

        Raises:
            InvalidSettingError: What the file names is not valid any more.
        """
        return rollouts_of(self.content)[-1]

    def by_name(self) -> Iterator[tuple[str, Rollout]]:
        """Yield the rollout with its name; of a promotion or of waves, each one, as ``NAME/ENVIRONMENT_OR_TARGET``.

        A release has no experiment: see :meth:`releases_by_name`.

        Raises:
            InvalidSettingError: What the file names is not valid any more.
        """
        for key, rollout in rollouts_by_key(self.content):
            yield self._named(key), rollout

    def releases_by_name(self) -> Iterator[tuple[str, ReleaseRollout]]:
        """Yield each release, with its name as :meth:`by_name` makes it.

        Raises:
            InvalidSettingError: What the file names is not valid any more.
        """
        for key, release in releases_by_key(self.content):
            yield self._named(key), release

    def _named(self, key: str | None) -> str:
        return self.name if key is None else f"{self.name}/{key}"

    @property
    def dag(self) -> DagSettings:
        """The settings of its DAG, from the field ``dag``."""
        return self.models()[1]


@dataclass(frozen=True, slots=True)
class Broken:
    """A rollout, or a whole file, that is not valid.

    Attributes:
        name: The rollout's name; the file's, without its suffix, if the file is broken.
        file: The file.
        problems: Its errors.
    """

    name: str
    file: FilePath
    problems: tuple[Problem, ...]


def rollout_files(paths: Iterable[FilePath]) -> Iterator[FilePath]:
    """Yield the YAML files among paths and in their folders at any depth, sorted within a folder.

    What has such a name and is no file, and a link that leads nowhere, is among them, so that its rollouts are missed
    and not passed over. Hidden ones are not: editors make such links for files that are open.
    """
    for path in paths:
        if os.path.isdir(path):  # noqa: PTH112 - Path.is_dir raises for some links
            yield from map(FilePath, files_below(str(path), SUFFIXES))
        else:
            yield path


def read_files(
    files: Iterable[FilePath],
    *,
    only: str | None = None,
    known_good: KnownGood | None = None,
    concerns: bool = False,
) -> Iterator[NamedRollout | Broken]:
    """Read rollouts from files.

    Args:
        files: The files.
        only: Name of the only rollout to read; others are neither checked nor returned.
        known_good: What is known of files from earlier readings; what this reading learns is added at its end.
        concerns: True to look for the concerns about each rollout too.

    Returns:
        Each rollout, or its errors, in the order of the files. The second rollout of a name is an error.
    """
    known: dict[str, NamedRollout] = {}
    for file in files:
        for found in read_file(file, only=only, known_good=known_good, concerns=concerns):
            first = known.setdefault(found.name, found) if isinstance(found, NamedRollout) else found
            if isinstance(found, NamedRollout) and first is not found:
                message = f"rollout {found.name!r} exists already in {first.file}:{known[found.name].line}"
                yield Broken(found.name, file, (Problem(file, found.line, "", message),))
            else:
                yield found
    if known_good is not None and only is None:
        known_good.save()


def read_file(
    file: FilePath, *, only: str | None = None, known_good: KnownGood | None = None, concerns: bool = False
) -> Iterator[NamedRollout | Broken]:
    """Read the rollouts of one file.

    Args:
        file: The file, in UTF-8.
        only: Name of the only rollout to read.
        known_good: What is known of files from earlier readings.
        concerns: True to look for the concerns about each rollout too.
    """
    read_at = time.time_ns()
    try:
        if only is not None and known_good is not None and only != file.stem and known_good.rules_out(file, only):
            return
        with open_regular(file) as opened:
            status, content = os.fstat(opened.fileno()), opened.read()
        # A broken file goes by its stem.
        if only is not None and only.encode(errors="replace") not in content and only != file.stem:
            return
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        yield _broken_file(file, f"this is no UTF-8: {error.reason}", None)
    except OSError as error:
        yield _broken_file(file, why_unread(file, error), None)
    else:
        if known_good is None or only is not None:
            is_good = known_good is not None and known_good.find(file, digest(content)) is not None
            yield from _with_concerns(read_text(text, file, only=only, is_good=is_good), concerns)
            return
        settled = signature(status) if is_settled(status, read_at) else None
        yield from _remembered(known_good, file, text, Reading(digest(content), settled, read_at), concerns)


@dataclass(slots=True)
class Reading:
    """A remark that was made while a file was read.

    Attributes:
        digest: Digest of its content.
        signature: Its signature, None if it had changed just before.
        read_at: When it was read, in nanoseconds.
        needs: The other files that it names.
        is_metrics: Whether it holds metrics only.
    """

    digest: str = ""
    signature: tuple[int, ...] | None = None
    read_at: int = 0
    needs: set[str] = field(default_factory=set)
    is_metrics: bool = False


def _remembered(
    known_good: KnownGood, file: FilePath, text: str, reading: Reading, concerns: bool
) -> Iterator[NamedRollout | Broken]:
    """Read a file by what is known of it; if nothing is, read it afresh, and remember it if it is good."""
    stamp = known_good.find(file, reading.digest)
    if stamp is None or (concerns and stamp.concerns is None):
        found = list(_with_concerns(read_text(text, file, reading=reading), concerns))
        yield from found
        good = [entry for entry in found if isinstance(entry, NamedRollout)]
        if len(good) == len(found) and (good or reading.is_metrics):
            _remember(known_good, file, reading, good)
        return
    if stamp.signature != reading.signature and reading.signature is not None:
        known_good.add(file, replace(stamp, signature=reading.signature))
    content = _Later(file, text)
    told = stamp.concerns or (None,) * len(stamp.rollouts)
    for (name, line), each in zip(stamp.rollouts, told, strict=True):
        yield NamedRollout(name, file, line, partial(content.models, name), None, each if concerns else None)


def _remember(known_good: KnownGood, file: FilePath, reading: Reading, good: list[NamedRollout]) -> None:
    now = datetime.now(UTC)
    until = [good_until(rollout, entry.dag.schedule, now) for entry in good for _, rollout in entry.by_name()] or [
        now + FAR
    ]
    needs = {path: known_good.digest_of(path) for path in sorted(reading.needs)}
    ends = [each.timestamp() for each in until if each is not None]
    if len(ends) < len(until) or any(entry.calendar_problem for entry in good):
        return
    if any(releases_by_key(entry.content) for entry in good):
        return  # a release is quick to read, and its window is not followed here
    for path in needs:
        try:
            if not is_settled(os.stat(path), reading.read_at):  # noqa: PTH116 - as text, it need not be a path
                return
        except (OSError, ValueError):
            return
    told = [entry.concerns for entry in good]
    known_good.add(
        file,
        Stamp(
            digest=reading.digest,
            rollouts=tuple((entry.name, entry.line) for entry in good),
            until=min(ends),
            needs={path: known for path, known in needs.items() if known is not None},
            concerns=None if None in told else tuple(each for each in told if each is not None),
            is_metrics=reading.is_metrics,
            signature=reading.signature,
        ),
    )


class _Later:
    """A file that is known to be good: its rollouts are read when one is first asked for."""

    def __init__(self, file: FilePath, text: str) -> None:
        self._file, self._text = file, text
        self._found: dict[str, NamedRollout | Broken] = {}

    def models(self, name: str) -> tuple[Content, DagSettings]:
        if not self._found:
            self._found = {found.name: found for found in read_text(self._text, self._file)}
        found = self._found.get(name)
        if isinstance(found, NamedRollout):
            return found.models()
        problems = "; ".join(map(str, found.problems)) if found is not None else f"{self._file}: {name} is not there"
        raise InvalidSettingError(problems)


def _with_concerns(found: Iterator[NamedRollout | Broken], wanted: bool) -> Iterator[NamedRollout | Broken]:
    if not wanted:
        yield from found
        return
    # Imported here: solving boundaries is for the command line.
    from airflow_provider_launchdarkly.rollout.concerns import find_concerns

    for entry in found:
        yield (
            replace(entry, concerns=told_once(entry.content, find_concerns))
            if isinstance(entry, NamedRollout)
            else entry
        )


def read_text(
    text: str, file: FilePath, *, only: str | None = None, reading: Reading | None = None, is_good: bool = False
) -> Iterator[NamedRollout | Broken]:
    """Read the rollouts of a file's text.

    Args:
        text: The text.
        file: The file, for errors and for the path of a calendar.
        only: Name of the only rollout to read.
        reading: Takes down what the file names.
        is_good: True if this text is known to be good: the models are made, and what they cannot see is not sought.
    """
    try:
        document = read_document(text)
    except DocumentError as error:
        yield _broken_file(file, str(error), error.line)
    else:
        # Only an escape could hide Jinja from a search of the text.
        whole = f"{text}{file.parent}"
        plain = "\\" not in whole and not any(mark in whole for mark in MARKS)
        yield from _rollouts(file, document, only, reading or Reading(), plain=plain, is_good=is_good)


def _broken_file(file: FilePath, message: str, line: int | None) -> Broken:
    return Broken(file.stem, file, (Problem(file, line, "", message),))


def _rollouts(
    file: FilePath, document: Document, only: str | None, reading: Reading, *, plain: bool, is_good: bool
) -> Iterator[NamedRollout | Broken]:
    content = document.value
    try:
        if holds_only_metrics(document):
            from airflow_provider_launchdarkly.evidence.warehouse.metric_files import metrics_of

            metrics_of(document, str(file))
            reading.is_metrics = True
            return
        shared = section_of(document, file) if isinstance(content, dict) else {}
    except InvalidSettingError as error:
        yield Broken(file.stem, file, _problems_of(error))
        return
    if not isinstance(content, dict) or not isinstance(content.get("rollouts"), dict) or not content["rollouts"]:
        yield _broken_file(file, "the file has no `rollouts:`; write it, and below it each rollout by its name", 1)
        return
    defaults = content.get("defaults") or {}
    if unknown := [key for key in content if key not in {"defaults", SECTION, "rollouts"}]:
        message = f"{unknown[0]} is unknown; write defaults, {SECTION} or rollouts"
        yield _broken_file(file, message, document.line((unknown[0],)))
        return
    if not isinstance(defaults, dict):
        yield _broken_file(
            file, "defaults is not a mapping; write fields as of a rollout", document.line(("defaults",))
        )
        return
    for name, own in content["rollouts"].items():
        if only in {None, name}:
            check: Check = (lambda _rollout: ()) if is_good else wrong_values
            yield _rollout(
                file, document, name, own, defaults, metrics=shared, reading=reading, plain=plain, check=check
            )


def _rollout(
    file: FilePath,
    document: Document,
    name: str,
    own: Any,
    defaults: Mapping[str, Any],
    *,
    metrics: Mapping[str, MetricSettings],
    reading: Reading,
    plain: bool,
    check: Check,
) -> NamedRollout | Broken:
    line = document.line(("rollouts", name)) or 1
    try:
        check_name(name)
    except ValueError as error:
        return Broken(file.stem, file, (Problem(file, line, "", str(error)),))
    if not isinstance(own, dict):
        return Broken(
            name, file, (Problem(file, line, "", "the rollout is not a mapping; write experiment, stages, ..."),)
        )
    if RELEASE in own or RELEASE in defaults:
        from airflow_provider_launchdarkly.rollout.release_promotion import defaults_for

        defaults = defaults_for(defaults, own)
    value = lay_over(defaults, own, whole=WHOLE)
    released = RELEASE in value
    if not released:
        value = lay_over({"experiment": {"key": name}}, value)
    wrong: list[Flaw] = [] if plain else [Flaw(*each, "value_error", None) for each in templates(value)]
    settings = value.pop("dag", None)
    dag = _checked(DagSettings, {} if settings is None else settings, ("dag",), wrong)
    try:
        content = read_content(
            value,
            wrong,
            prepared=lambda part: _prepared(part, file, metrics, reading),
            check=wrong_window if released and check is wrong_values else check,
        )
    except InvalidSettingError as error:
        return Broken(name, file, _problems_of(error))
    if dag is None or content is None or wrong:
        return Broken(name, file, tuple(_problem(file, document, name, (each.path, each.message)) for each in wrong))
    windows = [rollout.change_window for rollout in rollouts_of(content)]
    for window in (*windows, *(release.change_window for _, release in releases_by_key(content))):
        try:
            if window:
                window.with_calendar()
        except CalendarError as error:
            calendar_problem = _problem(file, document, name, (("change_window", "calendar"), str(error)))
            return NamedRollout(name, file, line, lambda: (content, dag), calendar_problem)
    return NamedRollout(name, file, line, lambda: (content, dag))


def _prepared(
    value: dict[str, Any], file: FilePath, metrics: Mapping[str, MetricSettings], reading: Reading
) -> dict[str, Any]:
    """Return a rollout's fields with the files that it names, and the metrics of its file."""
    _with_its_path(value.get("results"), SECTION, file, reading)
    value = {**value, "change_window": _with_its_path(value.get("change_window"), "calendar", file, reading)}
    if RELEASE in value:
        return value
    return {**value, "results": lay_under(value.get("results"), metrics, file)}


def _checked(model: type[Model], value: Any, place: Path, wrong: list[Flaw]) -> Model | None:
    """Return the value as a model; on errors, add them to `wrong` and return None."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong.extend(find_flaws(error, place))
        return None


def _with_its_path(part: Any, key: str, file: FilePath, reading: Reading) -> Any:
    """Return a mapping whose key, if it names a file, names it relative to the file that has the mapping."""
    if not isinstance(part, dict) or not isinstance(part.get(key), str):
        return part
    path = str(file.parent / part[key])
    reading.needs.add(path)
    return {**part, key: path}


def _problems_of(error: InvalidSettingError) -> tuple[Problem, ...]:
    # Imported here: files without metrics do not pay for their models.
    from airflow_provider_launchdarkly.evidence.warehouse.metric_files import MetricsFileError

    if not isinstance(error, MetricsFileError):
        raise error
    return error.problems


def _problem(file: FilePath, document: Document, name: str, error: tuple[Path, str]) -> Problem:
    place, message = error
    # A path that pydantic adds for the branches of a union has no line.
    own: Path = ("rollouts", name, *place)
    line = document.lines.get(own) or document.lines.get(("defaults", *place)) or document.line(own)
    return Problem(file, line, field_name(place), message)
