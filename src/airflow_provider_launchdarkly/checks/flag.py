"""The check of a flag's state. A pure procedure."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.variations import find_variation, rule_of, shares
from airflow_provider_launchdarkly.checks.result import CheckResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import FeatureFlag

EVERYONE = Decimal(100)


def check_flag_state(
    env: EnvironmentRef, flag_key: str, on: bool | None, variation: Any, rule_id: str
) -> Procedure[CheckResult]:
    """Check whether a flag is on or off, and whether a rule serves one variation to everyone whom it matches.

    Args:
        env: Project and environment.
        flag_key: The flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter. A flag that is off serves its off
            variation to everyone.
        rule_id: The rule, ``fallthrough`` for the default rule.

    Raises:
        NotFoundError: The project has no such flag.
        ConfigurationError: The flag has no such variation.
        StateError: The flag has no such rule.
        LaunchDarklyError: As the calls raise.
    """
    flag = yield from read_flag(env, flag_key)
    config = flag.environments[env.environment_key]
    wanted = None if variation is None else find_variation(flag, variation)
    served = shares(flag, rule_of(flag, config, rule_id))
    if not config.on:
        off = flag.variation_at(config.off_variation)
        served = {off.id: EVERYONE} if off else {}
    reached = on in (None, config.on) and (wanted is None or served.get(wanted.id) == EVERYONE)
    state = f"flag {flag_key} is {'on' if config.on else 'off'} and serves {_shown(flag, served)}"
    output = {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "flag_key": flag_key,
        "on": config.on,
        "version": config.version,
        "rule_id": rule_id,
        "serves": {key: float(part) for key, part in served.items()},
    }
    return CheckResult(reached, state if reached else f"waiting: {state}", output)


def _shown(flag: FeatureFlag, served: Mapping[str, Decimal]) -> str:
    """Return the two largest shares, by variation name: ``Bold 50 %, Classic 50 %``."""
    largest = sorted(served.items(), key=lambda entry: -entry[1])
    names = {key: (found.name if (found := flag.variation(key)) else "") or key for key, _ in largest[:2]}
    rest = f", {len(largest) - 2} more" if len(largest) > 2 else ""
    return ", ".join(f"{names[key]} {float(share):g} %" for key, share in largest[:2]) + rest
