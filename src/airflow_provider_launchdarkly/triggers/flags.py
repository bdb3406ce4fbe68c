"""Waits in the triggerer for a flag's state. Reads only, holds no secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.checks.flag import check_flag_state
from airflow_provider_launchdarkly.triggers._base import PollingTrigger

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook


class FlagStateTrigger(PollingTrigger):
    """Fire once a flag is on or off, or serves a variation.

    Args:
        flag_key: The flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter.
        rule_id: The rule, ``fallthrough`` for the default rule.
        kwargs: What all triggers have, see :class:`PollingTrigger`.
    """

    def __init__(
        self,
        *,
        flag_key: str,
        on: bool | None = None,
        variation: Any = None,
        rule_id: str = "fallthrough",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self.on = on
        self.variation = variation
        self.rule_id = rule_id

    @override
    def arguments(self) -> dict[str, Any]:
        """Flag and state."""
        return {"flag_key": self.flag_key, "on": self.on, "variation": self.variation, "rule_id": self.rule_id}

    @override
    def make_check(self, hook: LaunchDarklyHook) -> Check:
        """Read the flag."""
        env = hook.environment()
        return lambda: check_flag_state(env, self.flag_key, self.on, self.variation, self.rule_id)
