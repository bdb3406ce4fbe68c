"""The base of the operators on releases, and their output."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.operators._base import LaunchDarklyBaseOperator

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.models import EnvironmentRelease


class ReleaseOutput(TypedDict):
    """A release in one environment: plain JSON. ``changed`` is False if nothing had to change.

    ``waits_for`` says what a ``waiting`` release waits for: ``regression``, ``advance`` (a person has to start its next
    phase), ``next_phase`` (which starts by itself) or ``person`` (LaunchDarkly names no reason).
    ``metrics`` has each metric's worst state over the phases that started; ``no_data`` where one has none. The values
    are those of the flag's variations, as LaunchDarkly sends them: text, number, boolean, object or list.
    """

    project_key: str
    environment_key: str
    flag_key: str
    release_id: str
    status: str
    reason: str | None
    waits_for: str | None
    kind: str
    original_variation_id: str
    original_variation_value: Any
    target_variation_id: str
    target_variation_value: Any
    metrics: dict[str, str]
    regressed: list[str]
    unmeasured: list[str]
    current_phase: int | None
    phases: list[dict[str, Any]]
    started_at: str | None
    ended_at: str | None
    url: str
    changed: bool


class LaunchDarklyReleaseBaseOperator(LaunchDarklyBaseOperator):
    """Base of the operators on a flag's releases.

    Args:
        flag_key: Key of the flag.
    """

    template_fields: Sequence[str] = ("flag_key", *LaunchDarklyBaseOperator.template_fields)
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(self, *, flag_key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    def _describe(self, release: EnvironmentRelease, *, changed: bool) -> ReleaseOutput:
        from airflow_provider_launchdarkly.checks.release import release_output, summary_of

        self.say("Release %s of flag %s is %s.", release.id, self.flag_key, summary_of(release))
        output: Any = release_output(self.hook.environment(), release)
        described: ReleaseOutput = output | {"flag_key": self.flag_key, "url": self.flag_url, "changed": changed}
        return described
