"""Who approves the writes of a rollout: people in Airflow, and reviewers in LaunchDarkly. Imports no Airflow."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import Field, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Duration, Flag
from airflow_provider_launchdarkly.rollout.fields import Text  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.options import Fallback

_TEAM = "team:"


class Approval(StrictModel):
    """The approval settings.

    Attributes:
        before_ship: True to ask a person before the winner is shipped.
        users: Ids of the Airflow users who may answer. Default: everyone with access.
        timeout: The time to answer, by Airflow's clock.
        remind_after: People are reminded of an open question at each multiple of this time after it. Default: never.
        otherwise: The action when nobody answers in time. Never shipping.
    """

    before_ship: Flag = False
    users: tuple[Text, ...] = ()
    timeout: Duration = 3 * DAY
    remind_after: Duration | None = None
    otherwise: Fallback = Fallback.HOLD

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.remind_after is not None and not timedelta(minutes=1) <= self.remind_after < self.timeout:
            longest = format_duration(self.timeout)
            raise ValueError(f"remind_after is {format_duration(self.remind_after)}, not from 1m to below {longest}")
        return self


class LaunchDarklyApproval(StrictModel):
    """LaunchDarkly's own approval, where an environment demands one for a start or a stop.

    Attributes:
        reviewers: Members by e-mail or id, and teams as ``team:KEY``.
        timeout: How long a task waits for the approval, by LaunchDarkly's clock. Then it fails.
        replaces_airflow: True to leave out Airflow's question before a stage or a ship where the environment says that
            experiments need approvals. The task makes no such change itself then: it waits until a person has started
            or stopped the iteration in LaunchDarkly.
    """

    reviewers: Annotated[tuple[Text, ...], Field(min_length=1)]
    timeout: Duration = DAY
    replaces_airflow: Flag = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        for number, reviewer in enumerate(self.reviewers):
            if not reviewer.strip() or reviewer.strip() == _TEAM:
                message = "names nobody; write a member's e-mail or id, or a team as team:KEY"
                raise FieldError(("reviewers", number), message)
        if self.timeout < timedelta(minutes=1):
            raise FieldError(("timeout",), f"{format_duration(self.timeout)} is too short; give people 1m or more")
        return self
