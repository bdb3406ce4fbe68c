"""What a pair is: one call, as a request of our own client and as a method call of LaunchDarkly's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from contract.official import SEMANTIC_PATCH, VERSIONS

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.request import Request

OLD = ("17.1.0", "17.2.0")
NEW = ("25.0.1",)
PRODUCTION = EnvironmentRef("demo", "production")
PROJECT: dict[str, Any] = {"project_key": "demo"}
ENVIRONMENT: dict[str, Any] = {"project_key": "demo", "environment_key": "production"}
EXPERIMENT: dict[str, Any] = {**ENVIRONMENT, "experiment_key": "cta"}


@dataclass(frozen=True, slots=True)
class Pair:
    """One call.

    Attributes:
        ours: our request.
        api: the official client's API, such as `experiments`.
        method: its method.
        arguments: its arguments; bodies as plain JSON in LaunchDarkly's spelling.
        beta: whether LaunchDarkly's documentation wants `LD-API-Version: beta`; otherwise the client's own default.
        versions: the clients that can say it.
    """

    ours: Request[Any]
    api: str
    method: str
    arguments: dict[str, Any]
    beta: bool = False
    versions: tuple[str, ...] = VERSIONS

    @property
    def content_type(self) -> str | None:
        """What the official client has to be told; it takes every PATCH for a JSON patch."""
        return SEMANTIC_PATCH if self.ours.method == "PATCH" and self.ours.content_type == SEMANTIC_PATCH else None
