"""Links from Airflow's UI to LaunchDarkly's."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink
from typing_extensions import override

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator

log = logging.getLogger(__name__)


class LaunchDarklyExperimentLink(BaseOperatorLink):
    """The task's experiment in LaunchDarkly's UI.

    Airflow builds the link in the task's own process when the task ends or defers, so the rendered fields and the
    connection are at hand.
    """

    name = "LaunchDarkly experiment"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the experiment's address, or an empty string if the operator has none."""
        return _address(operator, "experiment_url")


class LaunchDarklyFlagLink(BaseOperatorLink):
    """The task's flag in LaunchDarkly's UI."""

    name = "LaunchDarkly flag"

    @override
    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address of the flag's targeting, or an empty string if the operator has none."""
        return _address(operator, "flag_url")


def _address(operator: BaseOperator, name: str) -> str:
    """Return an operator's address, or an empty string if it has none or it cannot be built.

    Airflow builds links after the task has failed too. An error here would follow the task's own error in the log.
    """
    try:
        return getattr(operator, name, "") or ""
    except Exception as error:  # noqa: BLE001 - the reason is in the task's own error
        log.debug("no link: %s", error)
        return ""
