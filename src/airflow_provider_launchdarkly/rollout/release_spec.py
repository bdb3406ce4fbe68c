"""A release as data: a flag moves from one variation to another, without an experiment. Imports no Airflow."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

from pydantic import Field, model_validator

from airflow_provider_launchdarkly.api.variations import label_of, served_twice
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import DAY, Duration, Flag
from airflow_provider_launchdarkly.rollout.approval import LaunchDarklyApproval  # noqa: TC001 - pydantic reads it
from airflow_provider_launchdarkly.rollout.fields import Key, Text  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.options import ReleaseKind
from airflow_provider_launchdarkly.rollout.percentages import as_number
from airflow_provider_launchdarkly.rollout.shipping import GuardedMetric, Release

if TYPE_CHECKING:
    from collections.abc import Mapping

FALLTHROUGH = "fallthrough"
# Below `BACKSTOP`, at which Airflow fails the sensor that waits.
_LONGEST = 365 * DAY


class FlagRelease(Release):
    """The release: what moves, from where to where, in which steps, and what guards it.

    Attributes:
        flag: Key of the flag.
        original: The variation to move from: its name, its value or its id. The rule has to serve it to everyone.
        target: The variation to move to.
        rule: The flag's rule: its id or its description. ``fallthrough`` is the default rule: the release makes a rule
            for all contexts in front of it, and once it has completed the default rule serves the target.
        randomization_unit: Context kind by which people are divided.
        steps: One or more steps. After the last one everyone gets the target.
        kind: ``guarded`` or ``progressive``. LaunchDarkly guards on select plans only; where it refuses to, the task
            that starts fails, and no release has started. ``guarded_or_progressive`` is for winners.
        metrics: The metrics that guard it. Required if it is guarded.
        bypass_health_checks: Kinds of LaunchDarkly's health checks that may fail when it starts.
    """

    flag: Key
    original: Any
    target: Any
    rule: Text = FALLTHROUGH
    randomization_unit: Text = "user"
    metrics: tuple[GuardedMetric, ...] | None = None

    @model_validator(mode="after")
    def _check_flag(self) -> Self:
        for name in ("original", "target"):
            if getattr(self, name) is None:
                raise FieldError((name,), "is null, which no variation is: write its name, its value or its id")
        if served_twice([self.original, self.target]) is not None:
            raise FieldError(("target",), f"is {shown(self.target)}, as `original` is: name two variations")
        if self.kind is ReleaseKind.GUARDED_OR_PROGRESSIVE:
            raise FieldError(
                ("kind",),
                f"is {shown(self.kind.value)}, which only the release of a winner takes: write guarded, or progressive "
                "if LaunchDarkly refuses to guard it; no release starts then",
            )
        if self.guarded and self.metrics is None:
            raise FieldError(("metrics",), "is missing: name the metrics that guard it, or write kind: progressive")
        return self

    @property
    def guarding(self) -> tuple[GuardedMetric, ...]:
        """The metrics that guard it; none in a progressive one."""
        return self.guards(())

    @property
    def in_words(self) -> str:
        """Its words: ``checkout-button from Classic to Bold, in steps of 10 % for 1d, guarded by latency``."""
        guards = ", ".join(metric.metric for metric in self.guarding)
        ways = f"{self.flag} from {label_of(self.original)} to {label_of(self.target)}"
        return f"{ways}, in steps of {self.steps_in_words}, guarded by {guards or 'nothing'}"


class ReleaseApproval(StrictModel):
    """The question to a person in Airflow before a release starts.

    Attributes:
        before_start: True to ask a person before the release starts.
        users: Ids of the Airflow users who may answer. Default: everyone with access.
        timeout: The time to answer, by Airflow's clock. Without an answer nothing starts.
        remind_after: People are reminded of an open question at each multiple of this time after it. Default: never.
    """

    before_start: Flag = False
    users: tuple[Text, ...] = ()
    timeout: Duration = 3 * DAY
    remind_after: Duration | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.timeout <= timedelta():
            raise FieldError(("timeout",), f"is {format_duration(self.timeout)}, not above 0")
        if self.remind_after is not None and not timedelta(minutes=1) <= self.remind_after < self.timeout:
            longest, given = format_duration(self.timeout), format_duration(self.remind_after)
            raise FieldError(("remind_after",), f"is {given}, not from 1m to below {longest}")
        return self


class ReleaseRollout(StrictModel):
    """A rollout that is a release alone: no experiment, and no verdict but LaunchDarkly's own on each metric.

    Attributes:
        release: The release.
        approval: Whether a person is asked before it starts.
        launchdarkly_approval: The reviewers in LaunchDarkly, where it demands an approval for the start: a person
            starts the release there, and the task waits. Without them, the task fails there.
        change_window: The times at which it may start.
        decide_within: How long a release may wait for a person, such as after a regression of a metric without
            ``auto_rollback``. The length of its steps comes on top, as it may go on after the person's decision. After
            that, the task `decide` fails.
        turn_flag_on: True to turn the flag on before the start if it is off.
        connection: The Airflow connection.
        project: Project key. Default: the connection's.
        environment: Environment key. Default: the connection's.
        notes: Notes for people who read or approve the release.
    """

    release: FlagRelease
    approval: ReleaseApproval = ReleaseApproval.model_construct()
    launchdarkly_approval: LaunchDarklyApproval | None = None
    change_window: ChangeWindow | None = None
    decide_within: Duration = Field(default=7 * DAY)
    turn_flag_on: Flag = False
    connection: Text = "launchdarkly_default"
    project: Key | None = None
    environment: Key | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not timedelta() < self.decide_within <= _LONGEST:
            given = format_duration(self.decide_within)
            raise FieldError(("decide_within",), f"is {given}, not above 0 and at most {format_duration(_LONGEST)}")
        if self.launchdarkly_approval is not None and self.launchdarkly_approval.replaces_airflow:
            message = "is for experiments: leave it out, and set approval.before_start as you need it"
            raise FieldError(("launchdarkly_approval", "replaces_airflow"), message)
        return self

    @property
    def longest(self) -> timedelta:
        """How long a release that waits for a person is waited for."""
        return self.decide_within + sum((step.duration for step in self.release.steps), timedelta())

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> ReleaseRollout:
        """Read it from plain JSON, such as a YAML file holds.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        return cls.read(value)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, defaults included; :meth:`from_json` reads it back."""
        return self.model_dump(mode="json")


def arguments_of(release: FlagRelease, rule_id: str | None = None) -> dict[str, Any]:
    """Return a release as :class:`.LaunchDarklyStartReleaseOperator` takes it.

    Args:
        release: The release.
        rule_id: Id of its rule; None while it is not known.
    """
    steps = [{"percent": as_number(step.percent), "duration": format_duration(step.duration)} for step in release.steps]
    on_default = release.rule == FALLTHROUGH
    return {
        "original": release.original,
        "target": release.target,
        "phases": [{"steps": steps} if on_default else {"steps": steps, "rule_id": rule_id or release.rule}],
        "guardrails": [{"metric": each.metric, "auto_rollback": each.auto_rollback} for each in release.guarding],
        "randomization_unit": release.randomization_unit,
        "cleanup_behavior": "remove_rules_and_update_default_rule" if on_default else "leave_rules_in_place",
        "bypass_health_checks": [kind.value for kind in release.bypass_health_checks],
    }
