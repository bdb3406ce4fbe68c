"""Waits in the triggerer for a flag's state. Reads only, holds no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar

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
        flag_key: The flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter.
        variation_json: Instead of ``variation``, a value that is a list or a mapping, as JSON text.
        rule_id: The rule, ``fallthrough`` for the default rule.
        kwargs: What all triggers have, see :class:`PollingTrigger`.
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
    flag_key: str
    on: bool | None
    variation: Any
    variation_json: str | None
    rule_id: str

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the flag."""
        env = hook.environment()
        variation = self.variation if self.variation_json is None else json.loads(self.variation_json)
        return lambda: check_flag_state(env, self.flag_key, self.on, variation, self.rule_id)
