"""Sentences in two forms: with the account's keys for its owner, with placeholders for a bug report."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ApiError, LaunchDarklyError, UnexpectedResponseError
from airflow_provider_launchdarkly.evidence.warehouse.driver_errors import WarehouseError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True, slots=True)
class Key:
    """A name that belongs to the account: a key, an id, a host, a schema.

    Attributes:
        kind: What it names, such as ``experiment``; a placeholder is made of it.
        name: The name itself.
    """

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Keys:
    """Several names of one kind."""

    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """A text that others wrote, such as an error of LaunchDarkly's or a driver's. It may hold anything.

    Attributes:
        text: The text, for the owner.
        kind: What a bug report shows in its place.
    """

    text: str
    kind: str

    @classmethod
    def of(cls, error: BaseException) -> Told:
        """Return an error's text; a bug report shows its class and HTTP status."""
        status = error.status if isinstance(error, ApiError | UnexpectedResponseError) else None
        text = str(error) if isinstance(error, LaunchDarklyError) else f"{type(error).__name__}: {error}"
        # A driver's own error says more than our word for it.
        cause = error.__cause__ if isinstance(error, WarehouseError) else None
        return cls(text, f"{type(cause or error).__name__}{f' {status}' if status else ''}")


class Placeholders:
    """Gives each name of the account a placeholder, such as ``experiment-1``; the same name keeps it."""

    def __init__(self) -> None:
        self._given: dict[Key, str] = {}
        self._counts: Counter[str] = Counter()

    def of(self, key: Key) -> str:
        """Return the placeholder of a name."""
        if key not in self._given:
            self._counts[key.kind] += 1
            self._given[key] = f"{key.kind}-{self._counts[key.kind]}"
        return self._given[key]


@dataclass(frozen=True, slots=True)
class Words:
    """A sentence with the account's own names in it.

    Attributes:
        template: The sentence, with a place in braces for each value.
        values: The values: a :class:`Key`, :class:`Keys` or :class:`Told` is private, everything else is public.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> str:
        """Return the sentence for the account's owner."""
        return self._filled(lambda key: repr(key.name), lambda told: told.text)

    def closed(self, placeholders: Placeholders) -> str:
        """Return the sentence for a bug report."""
        return self._filled(placeholders.of, lambda told: told.kind)

    def _filled(self, show: Any, quote: Any) -> str:
        def shown(value: Any) -> str:
            match value:
                case Key():
                    return str(show(value))
                case Keys(kind=kind, names=names):
                    return ", ".join(str(show(Key(kind, name))) for name in names) or "none"
                case Told():
                    return str(quote(value))
            return str(value)

        return self.template.format_map({name: shown(value) for name, value in self.values.items()})


def say(template: str, **values: Any) -> Words:
    """Return a sentence; see :class:`Words`."""
    return Words(template, values)


def listed(names: Iterable[str]) -> str:
    """Return public names as people list them: ``a, b and c``."""
    *most, last = names
    return f"{', '.join(most)} and {last}" if most else last
