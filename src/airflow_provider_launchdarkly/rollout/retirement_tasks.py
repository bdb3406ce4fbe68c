"""The internal tasks that retire a rollout's flag after the end, where `endings.retire` asks for it.

The first waits, the second judges with the code of :class:`.LaunchDarklyRetireFlagOperator`. They keep the prefix
``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.operators.retirement import LaunchDarklyRetireFlagOperator
from airflow_provider_launchdarkly.rollout.ending_settings import Retire, counted
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.sensors._served_for import LaunchDarklyServedForBaseSensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.operators.retirement import RetiredFlagOutput
    from airflow_provider_launchdarkly.retirement.reasons import RetirementRule


class LaunchDarklyServedForSensor(LaunchDarklyServedForBaseSensor):
    """Wait until the flag of a rollout may be retired; skip if its experiment runs on. Internal.

    Args:
        endings: Ids of the rollout's endings.
        settings: When the flag may be retired.
        kwargs: As for its base class.
    """

    def __init__(self, *, endings: Sequence[str], settings: Retire, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.endings = list(endings)
        self.settings = settings.model_dump(mode="json")

    @override
    def rule(self, context: Context) -> RetirementRule:
        """Return when the flag may be retired: if it still serves what the rollout ended with.

        Raises:
            AirflowSkipException: The rollout has not ended its experiment.
        """
        from airflow_provider_launchdarkly.retirement.reasons import RetirementRule

        ti: Any = context["ti"]
        outputs = [ti.xcom_pull(task_ids=task, map_indexes=ti.map_index) for task in self.endings]
        found = [variation for output in outputs if output and (variation := _variation_of(output))]
        if not found:
            raise AirflowSkipException("the flag stays: the rollout has not ended its experiment")
        settings = Retire.model_validate(self.settings)
        environments = counted(settings.environments, self.hook.environment().environment_key)
        return RetirementRule(settings.served_for, environments, variation_id=found[0])


class LaunchDarklyRetireAfterRolloutOperator(LaunchDarklyRetireFlagOperator):
    """Retire the flag of a rollout, or propose to, if it still serves what the rollout ended with. Internal.

    Safe to repeat, as its base class is.

    Args:
        settings: What is done with the flag, and when.
        variation_id: Id of the variation with which the rollout ended.
        kwargs: See :class:`LaunchDarklyRetireFlagOperator`.

    Returns:
        :class:`.RetiredFlagOutput`.
    """

    template_fields: Sequence[str] = (*LaunchDarklyRetireFlagOperator.template_fields, "variation_id")

    def __init__(self, *, settings: Retire, variation_id: Any, **kwargs: Any) -> None:
        super().__init__(
            mode=settings.mode.value,
            served_for=format_duration(settings.served_for),
            environments=list(settings.environments),
            require_code_references=settings.require_code_references,
            require_approval_requests=settings.require_approval_requests,
            **kwargs,
        )
        self.variation_id = variation_id

    @override
    def act(self, context: Context) -> RetiredFlagOutput:
        """Retire the flag, or skip if it is gone."""
        try:
            return super().act(context)
        except NotFoundError as error:
            raise AirflowSkipException(f"there is nothing to retire: {error}") from None

    @override
    def rule(self) -> RetirementRule:
        """Return when the flag may be retired: the rollout's own environment counts as well."""
        rule = super().rule()
        environments = counted(rule.environments, self.hook.environment().environment_key)
        return replace(rule, environments=environments, variation_id=self.variation_id)


def _variation_of(output: Mapping[str, Any]) -> str | None:
    """Return the id of the variation that everyone gets since an ending; None if its experiment runs on."""
    if output.get("winner") is None:
        return None
    stopped, release = output.get("stopped"), output.get("release")
    if stopped:
        return str(stopped["variation_id"])
    side = "target" if output.get("ending") == Ending.SHIP else "original"
    return str(release[f"{side}_variation_id"]) if release else None
