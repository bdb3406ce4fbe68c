"""The field `endings` of a rollout, and its part `endings.retire`. Imports no Airflow."""

from __future__ import annotations

from datetime import timedelta
from typing import Self

from pydantic import model_validator

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Duration, Flag
from airflow_provider_launchdarkly.rollout.fields import Key  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.options import Fallback, Inconclusive, RetireMode
from airflow_provider_launchdarkly.rollout.shipping import Ship

# Below `BACKSTOP`, at which Airflow fails the sensor that waits.
_LONGEST = 365 * DAY


class Retire(StrictModel):
    """How the flag is retired after the end, by the rules of `LaunchDarklyRetireFlagOperator`.

    It counts only if the experiment has ended, so that the flag serves one variation to everyone. The flag stays if
    anything speaks against it, or if it serves another variation by then.

    Attributes:
        mode: ``propose`` writes nothing, and returns the text of a pull request. ``archive`` archives the flag and its
            experiments.
        served_for: How long everyone must have got the same, by LaunchDarkly's clock. It counts from the last change of
            the flag in each environment. At most ``365d``.
        environments: Environments in which everyone has to get it, besides the rollout's own. Default: all of the
            project.
        require_code_references: True to keep the flag if LaunchDarkly has no code references to look at.
        require_approval_requests: True to keep the flag if LaunchDarkly does not show which changes of it await an
            approval.
    """

    mode: RetireMode = RetireMode.PROPOSE
    served_for: Duration = 30 * DAY
    environments: tuple[Key, ...] = ()
    require_code_references: Flag = False
    require_approval_requests: Flag = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not timedelta() <= self.served_for <= _LONGEST:
            message = f"is {format_duration(self.served_for)}, not from 0 to {format_duration(_LONGEST)}"
            raise FieldError(("served_for",), message)
        return self


def counted(environments: tuple[str, ...], own: str) -> tuple[str, ...]:
    """Return the environments in which everyone has to get the same; none stands for all of the project.

    Args:
        environments: Those that `endings.retire` names.
        own: The rollout's own, which counts as well.
    """
    return tuple(dict.fromkeys((*environments, own))) if environments else ()


class Endings(StrictModel):
    """The actions at the ends of a rollout. Rollback always stops on the baseline; invalid stops nothing.

    Attributes:
        ship: How the winner reaches everyone. Default: at once, by stopping the iteration on it.
        retire: How the flag is retired once it has served the same to everyone for a time. Default: it is not.
        inconclusive: The action without a winner.
        refused: The action when a person rejects the next stage or the shipping. Default: `approval.otherwise`.
        extension: The time by which the last stage is extended.
    """

    ship: Ship = Ship.model_construct()
    retire: Retire | None = None
    inconclusive: Inconclusive = Inconclusive.BASELINE
    refused: Fallback | None = None
    extension: Duration = 14 * DAY

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.extension <= timedelta():
            raise ValueError(f"extension is {format_duration(self.extension)}, not above 0")
        return self
