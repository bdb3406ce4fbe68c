"""The check of a trigger's arguments, when the trigger runs and never in its constructor.

Airflow's triggerer calls the constructor on the event loop that all triggers share. An exception there ends the process
that runs them, so that every waiting task stands still (``TriggerRunner.create_triggers``, Airflow 3.1 to 3.3).
So a constructor takes any arguments, and the trigger reports wrong ones in its event.

Arguments are flat: strings, numbers, booleans, None, or a list of strings. Airflow 3.2 gives an asset watcher's nested
mappings back encoded, Airflow 3.1 and 3.3 do so with lists of mappings. Nested values travel as JSON text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow.triggers.base import BaseTrigger
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, VersionMismatchError
from airflow_provider_launchdarkly.config.lines import write_lines
from airflow_provider_launchdarkly.triggers._poll_interval import LONGEST_SECONDS

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Standing
    from airflow_provider_launchdarkly.decision.policy import Policy

REQUIRED: Any = object()
"""Default of a required argument."""

# Keys of Airflow's own encoding, after Airflow has stored them.
ENCODED_KEYS = frozenset({"__var", "__type", "Encoding.VAR", "Encoding.TYPE"})

LONGEST_VALUE_SHOWN = 200

Check = Callable[[Any], None]
"""Raises ValueError if the argument does not take the value; the message gives the cure."""


# Wrong arguments have one cause: the worker's version of the provider is newer than the triggerer's.
_CURE = (
    "The worker that deferred runs another version of airflow-provider-launchdarkly than this triggerer. Upgrade "
    "triggerers first; the task's retries wait for that, or clear it then"
)


class Argument(NamedTuple):
    """One argument of a trigger.

    Attributes:
        check: Raises if a value is wrong.
        default: Value if none is given; ``REQUIRED`` if there has to be one.
    """

    check: Check
    default: Any = REQUIRED


class CheckedTrigger(BaseTrigger):
    """Base of all triggers: it takes any arguments, and reports wrong ones on demand.

    Each argument that the class accepts becomes an attribute. A missing one becomes None.

    Args:
        given: The arguments as Airflow stored them.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {}

    # Positional-only, so that even an argument named `self` is reported instead of raising.
    def __init__(self, /, **given: Any) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self._given = given
        for name, argument in self.accepts.items():
            default = None if argument.default is REQUIRED else argument.default
            setattr(self, name, given.get(name, default))

    def say(self, text: str, *arguments: object) -> None:
        """Write a text to the task's log, in lines that fit."""
        write_lines(self.log.info, text, *arguments)

    def warn(self, text: str, *arguments: object) -> None:
        """Write a warning to the task's log, as :meth:`say` does."""
        write_lines(self.log.warning, text, *arguments)

    @override
    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and its arguments: the accepted ones with defaults, and all others unchanged."""
        accepted = {
            name: getattr(self, name)
            for name, argument in self.accepts.items()
            if name in self._given or argument.default is not REQUIRED
        }
        return f"{type(self).__module__}.{type(self).__qualname__}", {**self._given, **accepted}

    def problems(self) -> list[str]:
        """Return the problems of the arguments; each names an argument, its value and the cure."""
        unknown = [
            f"{name} is unknown to this version of the provider (its value is {_shown(value)}): remove it, or upgrade "
            "the provider in the triggerer"
            for name, value in self._given.items()
            if name not in self.accepts
        ]
        missing = [
            f"{name} is missing: pass it"
            for name, argument in self.accepts.items()
            if argument.default is REQUIRED and name not in self._given
        ]
        wrong = [
            f"{name} is {_shown(getattr(self, name))}: {reason}"
            for name, argument in self.accepts.items()
            if name in self._given or argument.default is not REQUIRED
            if (reason := _reason(argument.check, getattr(self, name)))
        ]
        return [*missing, *wrong, *unknown]

    def check(self) -> None:
        """Raise if the arguments are wrong.

        Raises:
            ConfigurationError: The message names each wrong argument, its value and the cure.
        """
        if problems := self.problems():
            raise ConfigurationError(f"{type(self).__name__} cannot run: {'; '.join(problems)}")

    def check_version(self) -> None:
        """Raise if the arguments are wrong. The operator has checked them, so its version is another one.

        Raises:
            VersionMismatchError: The message names each wrong argument, and says which side to upgrade.
        """
        try:
            self.check()
        except ConfigurationError as error:
            raise VersionMismatchError(f"{error}. {_CURE}") from error


def _reason(check: Check, value: Any) -> str | None:
    if is_encoded(value):
        return "Airflow gave it back in its own encoding, so write it as JSON text"
    try:
        check(value)
    except Exception as error:  # noqa: BLE001 - any exception of a check means that the value is wrong
        return str(error) or type(error).__name__
    return None


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= LONGEST_VALUE_SHOWN else f"{shown[:LONGEST_VALUE_SHOWN]}..."


def is_encoded(value: Any) -> bool:
    """Return True if a value, or anything in it, is still in Airflow's encoding."""
    if isinstance(value, Mapping):
        return bool(ENCODED_KEYS & {str(key) for key in value}) or any(map(is_encoded, value.values()))
    return isinstance(value, (list, tuple)) and any(map(is_encoded, value))


def text(value: Any) -> None:
    """Check for text that is not empty."""
    if not isinstance(value, str) or not value:
        raise ValueError("write text that is not empty")


def anything(value: Any) -> None:
    """Accept every value."""


def truth(value: Any) -> None:
    """Check for True or False."""
    if not isinstance(value, bool):
        raise ValueError("write True or False")  # noqa: TRY004 - all checks raise ValueError


def seconds(least: float = 0, *, above: bool = False) -> Check:
    """Return a check for a duration in seconds, from ``least`` or above it, that a date can be reckoned with."""

    def check(value: Any) -> None:
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not least <= value <= LONGEST_SECONDS or (above and value == least):
            raise ValueError(
                f"write a number {'above' if above else 'from'} {least:g}, in seconds, at most {LONGEST_SECONDS} "
                "(95 years)"
            )

    return check


def whole_number(least: int) -> Check:
    """Return a check for a whole number from ``least``."""

    def check(value: Any) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ValueError(f"write a whole number from {least}")

    return check


def one_of(*words: str) -> Check:
    """Return a check for one of some words."""

    def check(value: Any) -> None:
        if not isinstance(value, str) or value not in words:
            raise ValueError(f"write {' or '.join(words)}")

    return check


def texts(value: Any) -> None:
    """Check for a list of texts that are not empty."""
    if not isinstance(value, list) or not value or not all(isinstance(entry, str) and entry for entry in value):
        raise ValueError("write a list of texts that are not empty")


def text_or_texts(value: Any) -> None:
    """Check for text that is not empty, or a list of such texts."""
    entries = value if isinstance(value, list) else [value]
    if not entries or not all(isinstance(entry, str) and entry for entry in entries):
        raise ValueError("write text that is not empty, or a list of such texts")


def some_of(*words: str) -> Check:
    """Return a check for a list of at least one of some words."""

    def check(value: Any) -> None:
        is_words = isinstance(value, list) and all(isinstance(word, str) for word in value)
        if not is_words or not value or set(value) - set(words):
            raise ValueError(f"name some of {', '.join(words)}, as a list")

    return check


def instant(value: Any) -> None:
    """Check for a time in ISO 8601, with its offset from UTC."""
    try:
        written = datetime.fromisoformat(value)
        written.astimezone(UTC)  # fails at the ends of Python's dates
        has_offset = written.tzinfo is not None
    except (TypeError, ValueError, OverflowError):
        has_offset = False
    if not has_offset:
        raise ValueError("write a time with its offset, such as 2026-12-04T09:00:00+00:00")


def json_text(value: Any) -> None:
    """Check for JSON text."""
    try:
        json.loads(value)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("write JSON text") from None


def release_text(value: Any) -> None:
    """Check for a release to start, as JSON text."""
    from airflow_provider_launchdarkly.api.models import ReleasePost

    json_text(value)
    ReleasePost.checked(json.loads(value))


def policy_text(value: Any) -> None:
    """Check for a policy as JSON text, or as a mapping, which earlier versions of the provider stored."""
    read_policy(value)


def standing_text(value: Any) -> None:
    """Check for a crossing of the boundary as JSON text."""
    read_standing(value)


def read_standing(value: str) -> Standing:
    """Read a crossing of the boundary from JSON text.

    Raises:
        ConfigurationError: The text is no crossing.
        ValueError: The text is not JSON.
    """
    from airflow_provider_launchdarkly.checks.crossing import standing_from_json

    json_text(value)
    return standing_from_json(json.loads(value))


def optional(check: Check) -> Check:
    """Return a check that accepts None as well."""
    return lambda value: None if value is None else check(value)


def read_policy(value: Any) -> Policy:
    """Read a trigger's policy.

    Args:
        value: JSON text, or a mapping, which earlier versions of the provider stored.

    Raises:
        ValueError: The value is not a policy.
    """
    return _policy_of_text(value) if isinstance(value, str) else _policy_of(value)


# Thousands of waits have few policies, which nothing can change.
@lru_cache(maxsize=256)
def _policy_of_text(text: str) -> Policy:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    return _policy_of(content)


def _policy_of(content: Any) -> Policy:
    if not isinstance(content, Mapping):
        raise ValueError("write a policy as JSON text, such as '{\"alpha\": 0.05}'")  # noqa: TRY004
    if is_encoded(content):
        raise ValueError("Airflow gave it back in its own encoding, so write it as JSON text")
    from airflow_provider_launchdarkly.decision.policy import Policy

    return Policy.from_json(content)
