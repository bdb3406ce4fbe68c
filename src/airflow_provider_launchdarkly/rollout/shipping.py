"""The field `endings.ship` of a rollout: the release through which the winner reaches everyone. Imports no Airflow."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import Duration, Flag  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.fields import Key  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.options import HealthCheckKind, ReleaseKind
from airflow_provider_launchdarkly.rollout.percentages import StepPercent, as_number

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from airflow_provider_launchdarkly.config.strict_yaml import Path

_PATH = ("endings", "ship", "release")
# In a guarded release as many people get the baseline, to be compared with.
_MOST_GUARDED = 50


class ReleaseStep(StrictModel):
    """One step of the release.

    Attributes:
        percent: Percent of people who get the winner in it; above that of the step before. At most 50 if it is guarded.
        duration: Its length.
    """

    percent: StepPercent
    duration: Duration

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.duration.total_seconds() <= 0:
            raise FieldError(("duration",), f"is {format_duration(self.duration)}, not above 0")
        return self


class GuardedMetric(StrictModel):
    """A metric that guards the release. Its key alone is short for it.

    Attributes:
        metric: Key of the metric.
        auto_rollback: True if LaunchDarkly reverts the release when it regresses. With False, LaunchDarkly lets the
            release wait, and the rollout stops it on the baseline.
    """

    metric: Key
    auto_rollback: Flag = True

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"metric": value} if isinstance(value, str) else value


class Release(StrictModel):
    """The release through which the winner reaches everyone: the iteration ends on its baseline, the release follows.

    Attributes:
        steps: One or more steps. After the last one everyone gets the winner.
        kind: ``guarded``, ``progressive`` or ``guarded_or_progressive``. LaunchDarkly guards on select plans only, and
            no route of its API says whether yours is one: write ``progressive`` if it is not. With
            ``guarded_or_progressive`` the release takes the same steps without metrics where LaunchDarkly refuses to
            guard it; with ``guarded`` the task fails then, and everyone keeps the baseline.
        metrics: The metrics that guard it. Default: the primary metric and the policy's guardrails.
        bypass_health_checks: Kinds of LaunchDarkly's health checks that may fail when it starts.
    """

    steps: tuple[ReleaseStep, ...] = Field(min_length=1)
    kind: ReleaseKind = ReleaseKind.GUARDED
    metrics: tuple[GuardedMetric, ...] | None = None
    bypass_health_checks: tuple[HealthCheckKind, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Self:
        for number, (before, after) in enumerate(pairwise(self.steps), start=1):
            if after.percent <= before.percent:
                less = f"{as_number(after.percent)} after {as_number(before.percent)}"
                raise FieldError(("steps", number, "percent"), f"is {less}: each step serves more people")
        if self.kind is ReleaseKind.PROGRESSIVE:
            if self.metrics is not None:
                message = "guard nothing in a progressive release: leave them out, or write kind: guarded"
                raise FieldError(("metrics",), message)
            return self
        if self.metrics is not None and not self.metrics:
            raise FieldError(("metrics",), "is empty: name a metric, or write kind: progressive")
        keys = [metric.metric for metric in self.metrics or ()]
        for number, key in enumerate(keys):
            if key in keys[:number]:
                raise FieldError(("metrics", number), f"{key!r} is there twice: name each metric once")
        for number, step in enumerate(self.steps):
            if step.percent > _MOST_GUARDED:
                message = f"is {as_number(step.percent)}: a guarded release allows {_MOST_GUARDED} at most, since as "
                message += "many people get the baseline to be compared with"
                raise FieldError(("steps", number, "percent"), message)
        return self

    @property
    def guarded(self) -> bool:
        """True if metrics guard it, where LaunchDarkly guards releases."""
        return self.kind is not ReleaseKind.PROGRESSIVE

    @property
    def kind_in_words(self) -> str:
        """The kind, such as ``guarded``, or ``guarded or progressive``."""
        return self.kind.value.replace("_", " ")

    def guards(self, judged: Iterable[str | None]) -> tuple[GuardedMetric, ...]:
        """Return the metrics that guard it; none if it is progressive.

        Args:
            judged: The metrics that guard it by default; None does not count.
        """
        if not self.guarded:
            return ()
        if self.metrics is not None:
            return self.metrics
        return tuple(GuardedMetric(metric=key) for key in dict.fromkeys(judged) if key is not None)

    @property
    def steps_in_words(self) -> str:
        """The steps, such as ``10 % for 1d, 50 % for 2d``."""
        return ", ".join(f"{as_number(step.percent)} % for {format_duration(step.duration)}" for step in self.steps)


class Ship(StrictModel):
    """How the winner reaches everyone.

    Attributes:
        release: The release that takes it there in steps. Default: none, the winner reaches everyone at once.
    """

    release: Release | None = None


def check_guards(
    release: Release | None, judged: Iterable[str | None], groups: Collection[str | None], own: Collection[str]
) -> None:
    """Refuse metrics that cannot guard the release: groups, and those that only the source of results has.

    Args:
        release: The release; None if there is none.
        judged: The primary metric, or None for a funnel, and the guardrails, which guard by default.
        groups: Keys of the rollout's metric groups.
        own: Keys of the metrics that only the source of results has.

    Raises:
        FieldError: Its message names the cure.
    """
    if release is None or not release.guarded:
        return
    found = release.guards(judged)
    cure = "name single metrics of LaunchDarkly's, or write kind: progressive"
    if not found:
        raise FieldError((*_PATH, "metrics"), f"is missing, and a funnel cannot guard a release: {cure}")
    for number, metric in enumerate(found):
        path: Path = (*_PATH, "metrics") if release.metrics is None else (*_PATH, "metrics", number)
        if metric.metric in groups:
            raise FieldError(path, f"{metric.metric!r} is a metric group, which cannot guard a release; {cure}")
        if metric.metric in own:
            raise FieldError(path, f"{metric.metric!r} is a metric of the results alone, not of LaunchDarkly's; {cure}")
