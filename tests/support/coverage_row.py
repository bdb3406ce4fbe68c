"""A row of docs/coverage.md, and a call of the hook in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.scene import Scene

IN_ENV = "/api/v2/projects/{projectKey}/environments/{environmentKey}"
IN_PROJECT = "/api/v2/projects/{projectKey}"
EXPERIMENT = f"{IN_ENV}/experiments/{{experimentKey}}"


@dataclass(frozen=True)
class Case:
    """One call of the hook.

    Attributes:
        call: The hook's method.
        endpoint: Method and path of the endpoint it is for.
        make: Calls it; given the bound call, or its `aio`, and the scene. May prepare the scene before.
        holds: What must be true of the answer.
    """

    call: str
    endpoint: str
    make: Callable[[Any, Scene], Any]
    holds: Callable[[Any], bool]


@dataclass(frozen=True)
class Row:
    """One row of LaunchDarkly's API.

    Attributes:
        title: What it is.
        cases: The hook's calls.
        also: Operators and sensors, by class name.
    """

    title: str
    cases: tuple[Case, ...]
    also: tuple[str, ...] = ()
