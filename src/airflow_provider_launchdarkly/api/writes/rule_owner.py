"""Who holds a flag's rule. LaunchDarkly answers the same 409 to a race, which passes, and to an owner, who stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints.experiments import list_experiments
from airflow_provider_launchdarkly.api.errors import ConflictError, LaunchDarklyError, RuleOwnedError
from airflow_provider_launchdarkly.api.http.paging import collect

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef


def raise_if_owned(
    env: EnvironmentRef,
    flag_key: str,
    rule_id: str,
    conflict: ConflictError,
    *,
    doing: str,
    myself: str | None = None,
) -> Procedure[None]:
    """Raise a named error if an experiment runs on the rule.

    Args:
        env: Project and environment.
        flag_key: The flag.
        rule_id: The rule.
        conflict: What LaunchDarkly answered.
        doing: What could not be done, for the message.
        myself: Key of the experiment that may hold the rule, because it is the one that acts.

    Raises:
        RuleOwnedError: An experiment runs on the rule.
        ConflictError: The given one, when it cannot be looked up: who holds the rule is a courtesy, the conflict is
            the news.
    """
    try:
        others = yield from collect(list_experiments(env, flag_key=flag_key, status="running"))
    except LaunchDarklyError:
        raise conflict from None
    for other in others:
        # LaunchDarkly's filter matches any iteration, a past one too: what counts is the one that runs now.
        held = other.running.flags.get(flag_key) if other.running else None
        if other.key != myself and held and held.targeting_rule == rule_id:
            raise RuleOwnedError(
                f"{doing}: rule {rule_id!r} of flag {flag_key!r} belongs to the running experiment "
                f"{other.key!r}. Stop that one first, or use another rule",
                call=conflict.call,
                refusal=conflict.refusal,
                owner=other.key,
                flag_key=flag_key,
                rule_id=rule_id,
            ) from conflict
