"""Checks that a flag's rule serves one variation to everyone: after a stop, that what was meant is what is served."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.changes import read_flag
from airflow_provider_launchdarkly.api.converging import SETTLING
from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError, StateError
from airflow_provider_launchdarkly.api.procedure import Pause
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import FeatureFlag
    from airflow_provider_launchdarkly.api.procedure import Procedure
    from airflow_provider_launchdarkly.api.request import EnvironmentRef


class FlagServesOtherError(StateError):
    """The flag does not serve to everyone what was shipped: it is off, or somebody changed it since."""


class LaunchDarklyCheckFlagServesOperator(BaseOperator):
    """Check that a flag is on and that its rule serves one variation to everyone whom it matches.

    Put it after :class:`~airflow_provider_launchdarkly.operators.experiments.LaunchDarklyStopIterationOperator`. Reads
    a few times over some seconds, since a change may take a moment to show. Safe to repeat: it only reads.

    Args:
        stopped: The stop operator's output; or
        flag_key: the flag,
        variation_id: the variation,
        rule_id: and its rule.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.

    Returns:
        ``{"flag_key", "rule_id", "variation_id", "variation", "version"}``.

    Raises:
        FlagServesOtherError: It serves something else. Somebody has to look.
        LaunchDarklyError: The flag could not be read.
    """

    template_fields: Sequence[str] = (
        "stopped",
        "flag_key",
        "variation_id",
        "rule_id",
        "project_key",
        "environment_key",
        "launchdarkly_conn_id",
    )
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        stopped: Mapping[str, Any] | None = None,
        flag_key: str | None = None,
        variation_id: str | None = None,
        rule_id: str = "fallthrough",
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = LaunchDarklyHook.default_conn_name,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.stopped = stopped
        self.flag_key = flag_key
        self.variation_id = variation_id
        self.rule_id = rule_id
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id
        if stopped is None and not (flag_key and variation_id):
            raise ConfigurationError("give stopped, or flag_key and variation_id")

    @override
    def execute(self, context: Context) -> dict[str, Any]:
        """Read the flag until it serves the variation, a few times."""
        wanted = self.stopped or {
            "flag_key": self.flag_key,
            "rule_id": self.rule_id,
            "variation_id": self.variation_id,
        }
        hook = LaunchDarklyHook(self.launchdarkly_conn_id, self.project_key, self.environment_key)
        flag_key, rule_id, variation_id = (str(wanted[key]) for key in ("flag_key", "rule_id", "variation_id"))
        env = hook.environment()
        try:
            flag = hook.run(flag_that_serves(env, flag_key, rule_id, variation_id))
        except LaunchDarklyError as error:
            if error.retryable:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error
        variation = flag.variation(variation_id)
        self.log.info("Flag %s serves %r to everyone whom rule %s matches.", flag_key, variation, rule_id)
        return {
            "flag_key": flag_key,
            "rule_id": rule_id,
            "variation_id": variation_id,
            "variation": variation.value if variation else None,
            "version": flag.environments[env.environment_key].version,
        }


def flag_that_serves(env: EnvironmentRef, flag_key: str, rule_id: str, variation_id: str) -> Procedure[FeatureFlag]:
    """Read a flag that is to serve a variation to everyone.

    Raises:
        FlagServesOtherError: It does not, some seconds later either.
        StateError: The flag has no configuration in the environment.
        LaunchDarklyError: As the calls raise.
    """
    for seconds in (*SETTLING, None):
        flag = yield from read_flag(env, flag_key)
        otherwise = _served_otherwise(env, flag, rule_id, variation_id)
        if otherwise is None:
            return flag
        if seconds is None:
            raise FlagServesOtherError(f"{otherwise}. Find out who changed the flag, or why, before anything else")
        yield Pause(seconds, f"flag {flag_key} does not show the change yet")
    raise RuntimeError("the last read returns or raises")


def _served_otherwise(env: EnvironmentRef, flag: FeatureFlag, rule_id: str, variation_id: str) -> str | None:
    config = flag.environments[env.environment_key]
    where = f"flag {flag.key!r} in environment {env.environment_key!r}"
    if not config.on:
        return f"{where} is off"
    rule = config.rule(rule_id)
    if rule is None:
        return f"{where} has no rule {rule_id!r} any more"
    served = flag.variation_at(rule.variation)
    if served is None:
        return f"rule {rule_id!r} of {where} serves a split, not one variation to everyone"
    if served.id != variation_id:
        return f"rule {rule_id!r} of {where} serves {served.name or served.value!r}, not variation {variation_id}"
    return None
