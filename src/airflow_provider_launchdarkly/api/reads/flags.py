"""Read a flag, and wait a bounded time until it serves a variation to everyone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.flags import get_flag
from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.http.procedure import SETTLING, read_until

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import FeatureFlag


def read_flag(env: EnvironmentRef, flag_key: str) -> Procedure[FeatureFlag]:
    """Read a flag with its configuration in this environment alone.

    Raises:
        NotFoundError: There is no such flag.
        StateError: The flag has no configuration in the environment.
    """
    response = yield get_flag(env.project_key, flag_key, environments=(env.environment_key,))
    flag: FeatureFlag = response.value
    if env.environment_key not in flag.environments:
        raise StateError(f"flag {flag_key!r} has no configuration in environment {env.environment_key!r}")
    return flag


class FlagServesUnexpectedVariationError(StateError):
    """The flag does not serve the shipped variation to everyone: it is off, or was changed since."""


def flag_that_serves(env: EnvironmentRef, flag_key: str, rule_id: str, variation_id: str) -> Procedure[FeatureFlag]:
    """Read a flag, and check that it serves one variation to everyone.

    Raises:
        FlagServesUnexpectedVariationError: It does not, some seconds later either.
        StateError: The flag has no configuration in the environment.
        LaunchDarklyError: As the calls raise.
    """
    flag, served = yield from read_until(
        lambda: read_flag(env, flag_key),
        lambda flag: None if _served_otherwise(env, flag, rule_id, variation_id) else flag,
        SETTLING,
        f"flag {flag_key} does not show the change yet",
    )
    if served is None:
        raise FlagServesUnexpectedVariationError(
            f"{_served_otherwise(env, flag, rule_id, variation_id)}. Find out who changed the flag, or why, before "
            "anything else"
        )
    return served


def what_is_served(env: EnvironmentRef, flag: FeatureFlag, rule_id: str) -> str:
    """Say in words what a rule of a flag serves now."""
    config = flag.environments[env.environment_key]
    where = f"flag {flag.key!r} in environment {env.environment_key!r}"
    rule = config.rule(rule_id)
    if not config.on:
        return f"{where} is off"
    if rule is None:
        return f"{where} has no rule {rule_id!r} any more"
    served = flag.variation_at(rule.variation)
    if served is None:
        return f"rule {rule_id!r} of {where} serves a split"
    return f"rule {rule_id!r} of {where} serves variation {served.name or served.value!r} to everyone it matches"


def _served_otherwise(env: EnvironmentRef, flag: FeatureFlag, rule_id: str, variation_id: str) -> str | None:
    config = flag.environments[env.environment_key]
    rule = config.rule(rule_id) if config.on else None
    served = flag.variation_at(rule.variation) if rule else None
    if served is not None and served.id == variation_id:
        return None
    return f"{what_is_served(env, flag, rule_id)}, not variation {variation_id} to everyone"
