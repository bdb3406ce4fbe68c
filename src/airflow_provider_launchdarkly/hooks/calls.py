"""Descriptors that turn one description of a call into a method for tasks and for event loops.

The groups of calls are in ``experiments`` and ``resources``, the connection in ``launchdarkly``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Self, TypeVar, overload

from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP
from airflow_provider_launchdarkly.api.models.base import Read

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request

T = TypeVar("T")
M = TypeVar("M", bound=Read)
P = ParamSpec("P")


class Caller(ABC):
    """The part of a hook that a call needs: its project and environment, and a client to run it."""

    @abstractmethod
    def environment(self, project_key: str | None = None, environment_key: str | None = None) -> EnvironmentRef:
        """The project and environment of a call."""

    @abstractmethod
    def project(self, project_key: str | None = None) -> str:
        """The project of a call."""

    @abstractmethod
    def run(self, work: Any) -> Any:
        """Run a request or a procedure on the process's client."""

    @abstractmethod
    async def arun(self, work: Any) -> Any:
        """Run a request or a procedure on the event loop's client."""

    @abstractmethod
    def pages(self, work: Pages[T]) -> Iterator[T]:
        """Walk through a collection on the process's client."""

    @abstractmethod
    def apages(self, work: Pages[T]) -> AsyncIterator[T]:
        """Walk through a collection on the event loop's client."""

    @abstractmethod
    async def load_settings(self) -> Any:
        """Read the connection without blocking the event loop."""


@dataclass(frozen=True, slots=True)
class Pages(Generic[T]):
    """A collection to walk through.

    Attributes:
        first: The request for its first page.
        max_items: Most items to return.
    """

    first: Request[Any]
    max_items: int = DEFAULT_CAP


class BoundCall(Generic[P, T]):
    """One API call of one hook: call it to run it now, or await :meth:`aio` on an event loop."""

    def __init__(self, hook: Caller, build: Callable[..., Any]) -> None:
        self._hook = hook
        self._build = build
        self.__doc__ = build.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call on the process's shared client and return the result."""
        value: T = self._hook.run(self._build(self._hook, *args, **kwargs))
        return value

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> T:
        """Run the call on the event loop's shared client. Takes, returns and raises what the call itself does."""
        await self._hook.load_settings()
        value: T = await self._hook.arun(self._build(self._hook, *args, **kwargs))
        return value


class Call(Generic[P, T]):
    """One API call as a descriptor: reading it from a hook binds it to that hook."""

    def __init__(self, build: Callable[..., Any]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, hook: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, hook: Caller, owner: type[Any]) -> BoundCall[P, T]: ...
    def __get__(self, hook: Caller | None, owner: type[Any]) -> Self | BoundCall[P, T]:
        return self if hook is None else BoundCall(hook, self._build)


class BoundWalk(Generic[P, T]):
    """One collection of one hook: iterate over it, or over :meth:`aio` on an event loop. Pages are read lazily."""

    def __init__(self, hook: Caller, build: Callable[..., Pages[T]]) -> None:
        self._hook = hook
        self._build = build
        self.__doc__ = build.__doc__

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Iterator[T]:
        """Walk on the process's shared client. Nothing is read before the first item is asked for."""
        return self._hook.pages(self._build(self._hook, *args, **kwargs))

    async def aio(self, *args: P.args, **kwargs: P.kwargs) -> AsyncIterator[T]:
        """Walk on the event loop's shared client: ``async for experiment in hook.iter_experiments.aio(): …``."""
        await self._hook.load_settings()
        async for item in self._hook.apages(self._build(self._hook, *args, **kwargs)):
            yield item


class Walk(Generic[P, T]):
    """One collection as a descriptor: reading it from a hook binds it to that hook."""

    def __init__(self, build: Callable[..., Pages[T]]) -> None:
        self._build = build
        self.__doc__ = build.__doc__

    @overload
    def __get__(self, hook: None, owner: type[Any]) -> Self: ...
    @overload
    def __get__(self, hook: Caller, owner: type[Any]) -> BoundWalk[P, T]: ...
    def __get__(self, hook: Caller | None, owner: type[Any]) -> Self | BoundWalk[P, T]:
        return self if hook is None else BoundWalk(hook, self._build)


@overload
def api_call(build: Callable[Concatenate[Any, P], Request[M]]) -> Call[P, M]: ...
@overload
def api_call(build: Callable[Concatenate[Any, P], Procedure[T]]) -> Call[P, T]: ...
def api_call(build: Callable[..., Any]) -> Call[..., Any]:
    """Make a method that only builds a request, or a procedure, into a call that runs both ways."""
    return Call(build)


def api_walk(build: Callable[Concatenate[Any, P], Pages[T]]) -> Walk[P, T]:
    """Make a method that only names a collection into a lazy walk through it that runs both ways."""
    return Walk(build)
