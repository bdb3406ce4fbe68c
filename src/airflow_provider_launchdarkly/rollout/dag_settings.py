"""The field `dag` of a rollout in a file: what only Airflow needs. Imports no Airflow."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Self

from pydantic import Field, field_validator, model_validator

from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import Duration  # noqa: TC001 - pydantic reads it
from airflow_provider_launchdarkly.rollout.loadable import check_schedule


class DagSettings(StrictModel):
    """The settings of a rollout's DAG in Airflow.

    Attributes:
        timezone: IANA name of the time zone of `schedule` and `start_date`.
        schedule: Cron expression, or a preset such as ``@daily``. Default: none.
        start_date: First day of the schedule, from 2000 to 2099.
        paused: True to pause the DAG when it is new. Default: as Airflow is configured.
        tags: Tags in Airflow's UI, besides ``launchdarkly``.
        owner: Owner in Airflow's UI.
        retries: Retries of each task. Default: 10, enough to outlive an outage of an hour.
        retry_delay: Time before the first retry; each further one doubles it, up to 10 minutes. Default: ``1m``.
    """

    timezone: str = "UTC"
    schedule: Annotated[str, Field(min_length=1)] | None = None
    start_date: Annotated[date, Field(ge=date(2000, 1, 1), le=date(2099, 12, 31))] | None = None
    paused: Annotated[bool, Field(strict=True)] | None = None
    tags: tuple[Annotated[str, Field(min_length=1, max_length=100)], ...] = ()
    owner: Annotated[str, Field(min_length=1)] | None = None
    retries: Annotated[int, Field(ge=0, le=100, strict=True)] | None = None
    retry_delay: Annotated[Duration, Field(gt=timedelta(), le=timedelta(days=1))] | None = None

    @field_validator("timezone")
    @classmethod
    def _check_timezone(cls, value: str) -> str:
        check_schedule("@once", value)
        return value

    @model_validator(mode="after")
    def _check_schedule(self) -> Self:
        if self.schedule is not None:
            try:
                check_schedule(self.schedule, self.timezone)
            except ValueError as error:
                raise FieldError(("schedule",), f"{error}; or a preset such as @daily or @weekly") from None
        return self
