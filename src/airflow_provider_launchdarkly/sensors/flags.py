"""The sensor on a flag's state."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import validate_state
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.checks.result import Check
    from airflow_provider_launchdarkly.triggers.flags import FlagStateTrigger


class LaunchDarklyFlagStateSensor(LaunchDarklyBaseSensor):
    """Wait until a flag is on or off, or until a rule serves one variation to everyone whom it matches.

    The state that LaunchDarkly shows counts, no matter when it came about. A flag that is off serves its off variation
    to everyone, so ``variation`` is compared with that one.

    Safe to repeat: it only reads.

    Args:
        flag_key: Key of the flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter.
        rule_id: Id of the rule; ``fallthrough`` is the default rule.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval``,
            ``timeout`` and the arguments of every task.

    Returns:
        Keys, ``on``, ``version``, ``rule_id``, and ``serves``: percent by variation id.
    """

    template_fields: Sequence[str] = (*LaunchDarklyBaseSensor.template_fields, "flag_key", "on", "variation", "rule_id")
    operator_extra_links = (LaunchDarklyFlagLink(),)

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
        if is_literal(on) and is_literal(variation):
            validate_state(on, variation)

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    @override
    def make_check(self, context: Context) -> Check:
        """Return the check of the flag's state."""
        from airflow_provider_launchdarkly.checks.flag import check_flag_state

        validate_state(self.on, self.variation)
        return partial(check_flag_state, self.hook.environment(), self.flag_key, self.on, self.variation, self.rule_id)

    @override
    def trigger_class(self) -> type[FlagStateTrigger]:
        """Import and return the trigger with the same check."""
        from airflow_provider_launchdarkly.triggers.flags import FlagStateTrigger

        return FlagStateTrigger

    @override
    def trigger_arguments(self) -> dict[str, Any]:
        """Return the trigger's arguments: Airflow stores only flat ones, so a nested variation goes as JSON text."""
        nested = isinstance(self.variation, (list, dict))
        return super().trigger_arguments() | {
            "variation": None if nested else self.variation,
            "variation_json": json.dumps(self.variation) if nested else None,
        }
