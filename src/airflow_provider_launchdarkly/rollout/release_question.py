"""The question before a release.

Airflow's human-in-the-loop operator takes a seventh of a second to import, so only releases that ask import this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.rollout.confirmation import refusal
from airflow_provider_launchdarkly.rollout.release_steps import REFUSED
from airflow_provider_launchdarkly.rollout.reminded_question import RemindedQuestionOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class LaunchDarklyApproveReleaseOperator(RemindedQuestionOperator):
    """Ask whether a release may start; skip it if a person refuses, or nobody answers in time. Internal.

    Nothing is under way then, so nothing is watched. Safe to repeat: a retry or a clear asks again.

    Args:
        kwargs: As for :class:`RemindedQuestionOperator`.

    Returns:
        The answer, as Airflow's human-in-the-loop operator returns it.
    """

    ui_color = "#fff3d6"
    ui_fgcolor = "#1a1f36"

    @override
    def execute(self, context: Context) -> Any:
        """Ask."""
        return self._approved(context, super().execute(context))

    @override
    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Return the approval; or remind people; or skip the release."""
        return self._approved(context, super().execute_complete(context, event))

    def _approved(self, context: Context, answer: Any) -> Any:
        why = refusal(answer)
        if why is None:
            return answer
        ti: Any = context["ti"]
        ti.xcom_push(key=REFUSED, value=why)
        raise AirflowSkipException(f"the release does not start: {why}")
