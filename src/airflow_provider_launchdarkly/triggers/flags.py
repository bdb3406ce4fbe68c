"""The trigger of the sensor on a flag's state."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.checks.flag import check_flag_state
from airflow_provider_launchdarkly.triggers._arguments import Argument, anything, json_text, optional, text, truth
from airflow_provider_launchdarkly.triggers._base import PollingTrigger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class FlagStateTrigger(PollingTrigger):
    """Fire once a flag is on or off, or serves a variation.

    Args:
        variation_json: Instead of ``variation``, a value that is a list or a mapping, as JSON text.
        kwargs: The other arguments of :func:`check_flag_state`, and those of :class:`PollingTrigger`.
    """

    accepts: ClassVar[Mapping[str, Argument]] = {
        **PollingTrigger.accepts,
        "project_key": Argument(text),
        "environment_key": Argument(text),
        "flag_key": Argument(text),
        "on": Argument(optional(truth), None),
        "variation": Argument(anything, None),
        "variation_json": Argument(optional(json_text), None),
        "rule_id": Argument(text, "fallthrough"),
    }
    variation_json: str | None

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Return the check of the flag's state."""
        arguments = self.check_arguments()
        del arguments["variation_json"]
        if self.variation_json is not None:
            arguments["variation"] = json.loads(self.variation_json)
        return partial(check_flag_state, hook.environment(), **arguments)
