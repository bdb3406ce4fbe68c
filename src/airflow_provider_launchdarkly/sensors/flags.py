"""The sensor on a flag's state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.checks.arguments import validate_state
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.sensors._base import LaunchDarklyBaseSensor
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.triggers.flags import FlagStateTrigger


class LaunchDarklyFlagStateSensor(LaunchDarklyBaseSensor):
    """Wait until a flag is on or off, or until everyone whom a rule matches is served one variation.

    What counts is the state that LaunchDarkly shows, whenever it came about. While a flag is off, everyone is served
    its off variation, so that is what ``variation`` is held against.

    Safe to repeat: it only reads.

    Args:
        flag_key: Key of the flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter.
        rule_id: Id of the rule; ``fallthrough`` is the default rule.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id``, ``deferrable``, ``poke_interval``,
            ``timeout`` and what every task has.

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
        """Where LaunchDarkly's UI shows the flag."""
        return self.hook.flag_url(self.flag_key)

    @override
    def trigger(self, **shared: Any) -> FlagStateTrigger:
        """The trigger that reads the flag."""
        from airflow_provider_launchdarkly.triggers.flags import FlagStateTrigger

        validate_state(self.on, self.variation)
        nested = isinstance(self.variation, (list, dict))
        wanted = {"variation_json": json.dumps(self.variation)} if nested else {"variation": self.variation}
        return FlagStateTrigger(flag_key=self.flag_key, on=self.on, rule_id=self.rule_id, **wanted, **shared)
