"""Links from Airflow's UI to LaunchDarkly's, and to the tab that shows a run's experiment."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperatorLink, conf
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


RUN_TAB = "launchdarkly-dag-run"
"""The route of the run's tab, as `plugins.pages.addresses` names it."""


def experiment_page(log_url: object) -> str | None:
    """Return the address of the tab that shows a run's experiment; None if it cannot be told.

    Without ``[api] base_url`` Airflow gives its tasks an address on their own machine, which nobody else can open.

    Args:
        log_url: The address of one of the run's tasks, as Airflow gives it: ``ti.log_url``.
    """
    if not isinstance(log_url, str) or "://" not in log_url or "/tasks/" not in log_url:
        return None
    if not conf.get("api", "base_url", fallback=""):
        return None
    return f"{log_url.partition('/tasks/')[0]}/plugin/{RUN_TAB}"


def _address(operator: BaseOperator, name: str) -> str:
    """Return an operator's address, or an empty string if it has none or it cannot be built.

    Airflow builds links after the task has failed too. An error here would follow the task's own error in the log.
    """
    try:
        return getattr(operator, name, "") or ""
    except Exception as error:  # noqa: BLE001 - the reason is in the task's own error
        log.debug("no link: %s", error)
        return ""
