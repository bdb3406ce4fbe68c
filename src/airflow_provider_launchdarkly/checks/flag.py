"""What a flag is and serves. A procedure without I/O of its own."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.variations import find_variation, rule_of, shares
from airflow_provider_launchdarkly.checks.result import CheckResult

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef

EVERYONE = Decimal(100)


def check_flag_state(
    env: EnvironmentRef, flag_key: str, on: bool | None, variation: Any, rule_id: str
) -> Procedure[CheckResult]:
    """See whether a flag is on or off, and whether everyone whom a rule matches is served a variation.

    Args:
        env: Project and environment.
        flag_key: The flag.
        on: True or False; None if it does not matter.
        variation: The variation's name, value or id; None if it does not matter. While the flag is off, everyone is
            served its off variation.
        rule_id: The rule, ``fallthrough`` for the default rule.

    Raises:
        NotFoundError: There is no such flag.
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
    is_so = on in (None, config.on) and (wanted is None or served.get(wanted.id) == EVERYONE)
    named = {(found.name if (found := flag.variation(key)) else "") or key: float(part) for key, part in served.items()}
    summary = f"flag {flag_key} is {'on' if config.on else 'off'} and serves {named}"
    output = {
        "project_key": env.project_key,
        "environment_key": env.environment_key,
        "flag_key": flag_key,
        "on": config.on,
        "version": config.version,
        "rule_id": rule_id,
        "serves": {key: float(part) for key, part in served.items()},
    }
    return CheckResult(is_so, summary if is_so else f"{summary}: waiting", output)
