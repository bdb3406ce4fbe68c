"""Reads rollouts from YAML files; each error has its file, line and field. No network, no Airflow.

A file has rollouts by name, and `defaults` for all of them. A rollout that is wrong does not affect the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, Any, Self, TypeVar

from pydantic import BaseModel, Field, ValidationError, field_validator, model_validator

from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.config.defaults import lay_over
from airflow_provider_launchdarkly.config.problems import FieldError, Problem, field_name, flatten_errors
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.config.strict_yaml import Document, DocumentError, read_document
from airflow_provider_launchdarkly.decision.policy_parts import Duration  # noqa: TC001 - pydantic reads it
from airflow_provider_launchdarkly.rollout.loadable import check_name, check_schedule, templates, wrong_values
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path as FilePath

    from airflow_provider_launchdarkly.config.strict_yaml import Path

Model = TypeVar("Model", bound=BaseModel)

SUFFIXES = (".yaml", ".yml")

# A rollout that sets one of these replaces the whole of the default.
_WHOLE = frozenset({"policy.looks", "dag.schedule"})


class DagSettings(StrictModel):
    """The settings of a rollout's DAG in Airflow.

    Attributes:
        timezone: IANA name of the time zone of `schedule` and `start_date`.
        schedule: Cron expression, or a preset such as ``@daily``. Default: none.
        start_date: First day of the schedule, from 2000 to 2099.
        paused: True to pause the DAG when it is new. Default: as Airflow is configured.
        tags: Tags in Airflow's UI, besides ``launchdarkly``.
        owner: Owner in Airflow's UI.
        retries: Retries of each task. Default: 5, enough to outlive an outage of ten minutes.
        retry_delay: Time before the first retry; each further one doubles it, up to 5 minutes. Default: ``1m``.
    """

    timezone: str = "UTC"
    schedule: Annotated[str, Field(min_length=1)] | None = None
    start_date: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))] | None = None
    paused: Annotated[bool, Field(strict=True)] | None = None
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    owner: Annotated[str, Field(min_length=1)] | None = None
    retries: Annotated[int, Field(ge=0, le=100, strict=True)] | None = None
    retry_delay: Annotated[Duration, Field(gt=timedelta(), le=timedelta(days=1))] | None = None

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        check_schedule("@once", value)
        return value

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.schedule is not None:
            try:
                check_schedule(self.schedule, self.timezone)
            except ValueError as error:
                raise FieldError(("schedule",), f"{error}; or a preset such as @daily or @weekly") from None
        return self


@dataclass(frozen=True, slots=True)
class NamedRollout:
    """A valid rollout of a file.

    Attributes:
        name: The rollout's name, which is its DAG's id.
        file: The file.
        line: The line of its name.
        rollout: The rollout, defaults included.
        dag: The settings of its DAG, from the field ``dag``.
        calendar_problem: Why its change window's calendar cannot be read; None if it can, or if it names none. Only
            starting and shipping need the calendar: a running rollout must be able to roll back without it.
    """

    name: str
    file: FilePath
    line: int
    rollout: Rollout
    dag: DagSettings
    calendar_problem: Problem | None = None


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

    A link that leads nowhere is among them, so that its rollouts are missed and not passed over. Hidden ones are not:
    editors make such links for files that are open.
    """
    for path in paths:
        if path.is_dir():
            yield from sorted(file for file in path.rglob("*") if _is_yaml(file) or _leads_nowhere(file))
        else:
            yield path


def _is_yaml(file: FilePath) -> bool:
    return file.suffix in SUFFIXES and file.is_file()


def _leads_nowhere(file: FilePath) -> bool:
    return file.is_symlink() and not file.exists() and not file.name.startswith(".")


def read_files(files: Iterable[FilePath], *, only: str | None = None) -> Iterator[NamedRollout | Broken]:
    """Read rollouts from files.

    Args:
        files: The files.
        only: Name of the only rollout to read; others are neither checked nor returned.

    Returns:
        Each rollout, or its errors, in the order of the files. The second rollout of a name is an error.
    """
    known: dict[str, NamedRollout] = {}
    for file in files:
        for found in read_file(file, only=only):
            first = known.setdefault(found.name, found) if isinstance(found, NamedRollout) else found
            if isinstance(found, NamedRollout) and first is not found:
                message = f"rollout {found.name!r} exists already in {first.file}:{known[found.name].line}"
                yield Broken(found.name, file, (Problem(file, found.line, "", message),))
            else:
                yield found


def read_file(file: FilePath, *, only: str | None = None) -> Iterator[NamedRollout | Broken]:
    """Read the rollouts of one file.

    Args:
        file: The file, in UTF-8.
        only: Name of the only rollout to read.
    """
    try:
        text = file.read_text(encoding="utf-8")
        if only is not None and only not in text and only != file.stem:  # a broken file goes by its stem
            return
    except UnicodeDecodeError as error:
        yield _broken_file(file, f"this is no UTF-8: {error.reason}", None)
    except OSError as error:
        problem = error.strerror or str(error)
        if _leads_nowhere(file):
            problem = f"the link leads nowhere ({file.readlink()}): mend it or remove it"
        yield _broken_file(file, problem, None)
    else:
        yield from read_text(text, file, only=only)


def read_text(text: str, file: FilePath, *, only: str | None = None) -> Iterator[NamedRollout | Broken]:
    """Read the rollouts of a file's text.

    Args:
        text: The text.
        file: The file, for errors and for the path of a calendar.
        only: Name of the only rollout to read.
    """
    try:
        document = read_document(text)
    except DocumentError as error:
        yield _broken_file(file, str(error), error.line)
    else:
        yield from _rollouts(file, document, only)


def _broken_file(file: FilePath, message: str, line: int | None) -> Broken:
    return Broken(file.stem, file, (Problem(file, line, "", message),))


def _rollouts(file: FilePath, document: Document, only: str | None) -> Iterator[NamedRollout | Broken]:
    content = document.value
    if not isinstance(content, dict) or not isinstance(content.get("rollouts"), dict) or not content["rollouts"]:
        yield _broken_file(file, "the file has no `rollouts:`; write it, and below it each rollout by its name", 1)
        return
    defaults = content.get("defaults") or {}
    if unknown := [key for key in content if key not in {"defaults", "rollouts"}]:
        message = f"{unknown[0]} is unknown; write defaults or rollouts"
        yield _broken_file(file, message, document.line((unknown[0],)))
        return
    if not isinstance(defaults, dict):
        yield _broken_file(
            file, "defaults is not a mapping; write fields as of a rollout", document.line(("defaults",))
        )
        return
    for name, own in content["rollouts"].items():
        if only in {None, name}:
            yield _rollout(file, document, name, own, defaults)


def _rollout(
    file: FilePath, document: Document, name: str, own: Any, defaults: Mapping[str, Any]
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
    value = lay_over({"experiment": {"key": name}}, lay_over(defaults, own, whole=_WHOLE))
    _find_calendar(value.get("change_window"), file)
    wrong: list[tuple[Path, str]] = list(templates(value))
    settings = value.pop("dag", None)
    settings = {} if settings is None else settings
    dag = _checked(DagSettings, settings, ("dag",), wrong)
    rollout = _checked(Rollout, value, (), wrong)
    if rollout is not None and not wrong:
        wrong.extend(wrong_values(rollout))
    if dag is None or rollout is None or wrong:
        return Broken(name, file, tuple(_problem(file, document, name, error) for error in wrong))
    try:
        if rollout.change_window:
            rollout.change_window.with_calendar()
    except CalendarError as error:
        calendar_problem = _problem(file, document, name, (("change_window", "calendar"), str(error)))
        return NamedRollout(name, file, line, rollout, dag, calendar_problem)
    return NamedRollout(name, file, line, rollout, dag)


def _checked(model: type[Model], value: Any, place: Path, wrong: list[tuple[Path, str]]) -> Model | None:
    """Return the value as a model; on errors, add them to `wrong` and return None."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        wrong.extend(flatten_errors(error, place))
        return None


def _find_calendar(window: Any, file: FilePath) -> None:
    """Make a calendar's path relative to the file that names it."""
    if isinstance(window, dict) and isinstance(window.get("calendar"), str):
        window["calendar"] = str(file.parent / window["calendar"])


def _problem(file: FilePath, document: Document, name: str, error: tuple[Path, str]) -> Problem:
    place, message = error
    # A path that pydantic adds for the branches of a union has no line.
    own: Path = ("rollouts", name, *place)
    line = document.lines.get(own) or document.lines.get(("defaults", *place)) or document.line(own)
    return Problem(file, line, field_name(place), message)
