"""Operators on flags: set what a flag serves, and check it. They only call ``api/reads`` and ``api/writes``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.variations import find_variation, rule_of, shares
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.operators._approval import LaunchDarklyApprovedBaseOperator
from airflow_provider_launchdarkly.operators._base import LaunchDarklyBaseOperator, audit_comment
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.models import FeatureFlag
    from airflow_provider_launchdarkly.api.writes.flags import Serving

FALLTHROUGH = "fallthrough"


class FlagOutput(TypedDict):
    """A flag in one environment: plain JSON. ``serves`` is percent by variation id, for the task's rule.

    ``changed`` is False if nothing had to change.
    """

    project_key: str
    environment_key: str
    flag_key: str
    on: bool
    version: int | None
    rule_id: str
    serves: dict[str, float]
    url: str
    changed: bool


class LaunchDarklySetFlagOperator(LaunchDarklyApprovedBaseOperator):
    """Turn a flag on or off, and set what one of its rules serves: one variation, or a percentage rollout.

    Safe to repeat: the arguments name the desired state, and only what differs is written, in one change, so the flag
    never serves an unwanted variation in between. LaunchDarkly rejects a change of a rule while an experiment runs on
    it; the error names the experiment.

    Where LaunchDarkly demands an approval, ``reviewers`` are asked for the whole change at once.

    Args:
        flag_key: Key of the flag.
        on: True or False turns it on or off. Default: no change.
        variation: The variation for everyone whom the rule matches: its name, value or id; or
        rollout: percent by variation (name, value or id), adding up to 100.
        rule_id: Id of the rule; ``fallthrough`` is the default rule.
        context_kind: Kind of context by which the rollout splits. Default: LaunchDarkly's, ``user``.
        bucket_by: Attribute by which the rollout splits. Default: LaunchDarkly's, the context's key.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        kwargs: ``reviewers`` and ``approval_timeout`` (see :class:`LaunchDarklyApprovedBaseOperator`), ``project_key``,
            ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        :class:`.FlagOutput`.
    """

    template_fields: Sequence[str] = (
        "flag_key",
        *LaunchDarklyApprovedBaseOperator.template_fields,
        "on",
        "variation",
        "rollout",
        "rule_id",
        "context_kind",
        "bucket_by",
        "comment",
    )
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(
        self,
        *,
        flag_key: str,
        on: bool | None = None,
        variation: Any = None,
        rollout: Mapping[str, float | str] | None = None,
        rule_id: str = "fallthrough",
        context_kind: str | None = None,
        bucket_by: str | None = None,
        comment: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self.on = on
        self.variation = variation
        self.rollout = rollout
        self.rule_id = rule_id
        self.context_kind = context_kind
        self.bucket_by = bucket_by
        self.comment = comment
        if all(is_literal(value) for value in (on, variation, rollout, context_kind, bucket_by)):
            self._validate()

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    @override
    def act(self, context: Context) -> FlagOutput:
        """Bring the flag into the desired state."""
        from airflow_provider_launchdarkly.api.writes.flags import change_flag

        self._validate()
        serving = None
        if self.variation is not None or self.rollout is not None:
            serving = self._serving(self.hook.get_flag(self.flag_key))
        change = change_flag(
            self.hook.environment(),
            self.flag_key,
            on=self.on,
            serving=serving,
            rule_id=self.rule_id,
            comment=audit_comment(self.comment, context),
        )
        changed = self.hook.run(change).changed
        self.flags_changed = (self.flag_key,)
        return self._describe(self.hook.get_flag(self.flag_key), changed=changed)

    def _validate(self) -> None:
        from airflow_provider_launchdarkly.api.writes.flags import weights_of

        if self.on is not None and not isinstance(self.on, bool):
            raise ConfigurationError(f"on is {self.on!r}: write True or False")
        if self.variation is not None and self.rollout is not None:
            raise ConfigurationError(
                f"variation is {self.variation!r} and rollout is {shown(self.rollout)}: give one of the two"
            )
        if self.on is None and self.variation is None and self.rollout is None:
            raise ConfigurationError(
                "on, variation and rollout are all None: give at least one, so that there is a state to set"
            )
        for name in ("context_kind", "bucket_by"):
            if self.rollout is None and getattr(self, name) is not None:
                raise ConfigurationError(
                    f"{name} is {getattr(self, name)!r} and rollout is None: only a rollout splits people, so give one "
                    f"or leave {name} out"
                )
        if self.rollout is not None:
            if not isinstance(self.rollout, Mapping):
                raise ConfigurationError(f"rollout is {shown(self.rollout)}: write a mapping from variation to percent")
            weights_of(self.rollout)

    def _serving(self, flag: FeatureFlag) -> Serving:
        from airflow_provider_launchdarkly.api.writes.flags import Serving, weights_of

        if self.rollout is None:
            return Serving(variation_id=find_variation(flag, self.variation).id)
        percents = {find_variation(flag, name).id: percent for name, percent in self.rollout.items()}
        if len(percents) != len(self.rollout):
            raise ConfigurationError(f"rollout is {shown(self.rollout)}, which names a variation twice: name each once")
        return Serving(weights=weights_of(percents), context_kind=self.context_kind, bucket_by=self.bucket_by)

    def _describe(self, flag: FeatureFlag, *, changed: bool) -> FlagOutput:
        env = self.hook.environment()
        config = flag.environments[env.environment_key]
        served = shares(flag, rule_of(flag, config, self.rule_id))
        self.say(
            "Flag %s is %s, and rule %s serves %s%s.",
            self.flag_key,
            "on" if config.on else "off",
            self.rule_id,
            served,
            "" if changed else "; nothing to do",
        )
        return {
            "project_key": env.project_key,
            "environment_key": env.environment_key,
            "flag_key": flag.key,
            "on": config.on,
            "version": config.version,
            "rule_id": self.rule_id,
            "serves": {variation_id: float(percent) for variation_id, percent in served.items()},
            "url": self.flag_url,
            "changed": changed,
        }


class LaunchDarklyCheckFlagServesOperator(LaunchDarklyBaseOperator):
    """Check that a flag is on and that its rule serves one variation to everyone whom it matches.

    Put it after :class:`LaunchDarklyStopIterationOperator`. It reads a few times over some seconds, since a change may
    take a moment to show. Safe to repeat: it only reads.

    Args:
        stopped: The stop operator's output; or
        flag_key: key of the flag, and
        variation_id: id of the variation that everyone should get.
        rule_id: Id of the rule. Default: ``fallthrough``, the default rule.
        kwargs: ``project_key``, ``environment_key``, ``launchdarkly_conn_id`` and the arguments of every task.

    Returns:
        ``{"flag_key", "rule_id", "variation_id", "variation", "version"}``.

    Raises:
        FlagServesUnexpectedVariationError: The flag serves something else.
        LaunchDarklyError: The flag could not be read.
    """

    template_fields: Sequence[str] = (
        "stopped",
        "flag_key",
        "variation_id",
        "rule_id",
        *LaunchDarklyBaseOperator.template_fields,
    )

    def __init__(
        self,
        *,
        stopped: Mapping[str, Any] | None = None,
        flag_key: str | None = None,
        variation_id: str | None = None,
        rule_id: str = FALLTHROUGH,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.stopped = stopped
        self.flag_key = flag_key
        self.variation_id = variation_id
        self.rule_id = rule_id
        if stopped is None and not (flag_key and variation_id):
            given = f"stopped is None, flag_key {flag_key!r} and variation_id {variation_id!r}"
            raise ConfigurationError(f"{given}: give stopped, or both of the others")
        if stopped is not None and (flag_key, variation_id, rule_id) != (None, None, FALLTHROUGH):
            raise ConfigurationError(
                f"stopped is given, and flag_key {flag_key!r}, variation_id {variation_id!r} and rule_id {rule_id!r}: "
                "it names all three, so leave them out"
            )
        if is_literal(stopped) and is_literal(flag_key) and is_literal(variation_id):
            self._wanted()

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Read the flag until it serves the variation, a few times."""
        from airflow_provider_launchdarkly.api.reads.flags import flag_that_serves

        flag_key, rule_id, variation_id = self._wanted()
        env = self.hook.environment()
        flag = self.hook.run(flag_that_serves(env, flag_key, rule_id, variation_id))
        variation = flag.variation(variation_id)
        self.say("Flag %s serves %r to everyone whom rule %s matches.", flag_key, variation, rule_id)
        return {
            "flag_key": flag_key,
            "rule_id": rule_id,
            "variation_id": variation_id,
            "variation": variation.value if variation else None,
            "version": flag.environments[env.environment_key].version,
        }

    def _wanted(self) -> tuple[str, str, str]:
        """Return the keys of flag, rule and variation."""
        alone = {"flag_key": self.flag_key, "rule_id": self.rule_id, "variation_id": self.variation_id}
        wanted: Any = alone if self.stopped is None else self.stopped
        if missing := [name for name in alone if not isinstance(wanted, Mapping) or not wanted.get(name)]:
            raise ConfigurationError(
                f"{missing[0]} is missing in {shown(wanted)}: pass the stop operator's output as stopped, or flag_key "
                "and variation_id"
            )
        flag_key, rule_id, variation_id = (str(wanted[name]) for name in alone)
        return flag_key, rule_id, variation_id
