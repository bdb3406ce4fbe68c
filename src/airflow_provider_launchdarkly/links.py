"""Links from Airflow's UI to LaunchDarkly's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink
from typing_extensions import override

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator


class LaunchDarklyExperimentLink(BaseOperatorLink):
    """The task's experiment in LaunchDarkly's UI.

    Airflow builds the link in the task's own process when the task ends or defers, so the rendered fields and the
    connection are at hand.
    """

    name = "LaunchDarkly experiment"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the experiment's address, or an empty string if the operator has none."""
        return getattr(operator, "experiment_url", "") or ""


class LaunchDarklyFlagLink(BaseOperatorLink):
    """The task's flag in LaunchDarkly's UI."""

    name = "LaunchDarkly flag"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address of the flag's targeting, or an empty string if the operator has none."""
        return getattr(operator, "flag_url", "") or ""
