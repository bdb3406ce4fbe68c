"""A page of LaunchDarkly's list whose text is read only where it is needed: most say what they said a round before."""

from __future__ import annotations

import re
from abc import abstractmethod
from functools import cached_property
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from airflow_provider_launchdarkly.api.models import ExperimentPage, ReleasePage
from airflow_provider_launchdarkly.api.models.base import Read

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.models import Experiment


NEWEST = "newest releases"
"""The key of all releases on the first page of a list; no release has such an id."""

_SNAPSHOT = re.compile(rb"_snapshot=\d+")


class Contents(NamedTuple):
    """The content of a page.

    Attributes:
        keys: Of what is on it, in its order: keys of experiments, ids of releases.
        total_count: How many the whole list has; None if it does not say so.
        others: Further keys under which the page answers, beside those of what is on it.
    """

    keys: tuple[str, ...]
    total_count: int | None
    others: tuple[str, ...] = ()

    @property
    def answered(self) -> tuple[str, ...]:
        """All keys under which the page answers."""
        return (*self.keys, *self.others)


class ListedPage(Read):
    """One page of a list.

    Attributes:
        text: Its JSON.
    """

    text: bytes = b""

    @classmethod
    @override
    def model_validate_json(cls, json_data: str | bytes | bytearray, **_: Any) -> ListedPage:
        """Keep the text. Reading it later raises pydantic's ValidationError if it is no page."""
        return cls.model_construct(text=json_data.encode() if isinstance(json_data, str) else bytes(json_data))

    @cached_property
    def mark(self) -> bytes:
        """A hash of the text: pages with the same mark are the same."""
        return blake2b(self.text, digest_size=16).digest()

    @property
    @abstractmethod
    def contents(self) -> Contents:
        """Its content, for the round that meets the same page again."""

    @property
    @abstractmethod
    def items(self) -> Mapping[str, Any]:
        """The experiments or releases on it, by the keys of the contents."""


class ListedExperiments(ListedPage):
    """One page of an environment's experiments."""

    @cached_property
    def _page(self) -> ExperimentPage:
        return ExperimentPage.model_validate_json(self.text)

    @cached_property
    @override
    def contents(self) -> Contents:
        """The keys of its experiments."""
        return Contents(tuple(experiment.key for experiment in self._page.items), self._page.total_count)

    @cached_property
    @override
    def items(self) -> dict[str, Experiment]:
        """The experiments by their keys."""
        return {experiment.key: experiment for experiment in self._page.items}


class ListedReleases(ListedPage):
    """One page of a flag's releases in an environment.

    A release that is listed without its phases is on it under no key: its steps and metrics would be missing.
    """

    @cached_property
    @override
    def mark(self) -> bytes:
        """A hash of the text without the moment that its links name, which is another one in each response."""
        return blake2b(_SNAPSHOT.sub(b"", self.text), digest_size=16).digest()

    @cached_property
    def _page(self) -> ReleasePage:
        return ReleasePage.model_validate_json(self.text)

    @cached_property
    @override
    def contents(self) -> Contents:
        """The ids of its releases."""
        keys = tuple(release.id if release.phases else "" for release in self._page.items)
        return Contents(keys, self._page.total_count)

    @cached_property
    @override
    def items(self) -> Mapping[str, Any]:
        """The releases by their ids."""
        return {release.id: release for release in self._page.items}


class NewestReleases(ListedReleases):
    """The first page, which has the newest releases in front: all of them together are on it, too."""

    @cached_property
    @override
    def contents(self) -> Contents:
        """The ids of its releases, and the key of all of them."""
        return super().contents._replace(others=(NEWEST,))

    @cached_property
    @override
    def items(self) -> Mapping[str, Any]:
        """The releases by their ids, and all of them, newest first."""
        return {**super().items, NEWEST: self._page.items}
