"""The operators that retire a flag, and that report what was forgotten. They only call ``retirement``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypedDict, cast

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.problems import shown
from airflow_provider_launchdarkly.links import LaunchDarklyFlagLink
from airflow_provider_launchdarkly.operators._base import LaunchDarklyBaseOperator, audit_comment
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.retirement.reasons import RetirementRule
    from airflow_provider_launchdarkly.retirement.retire import Mode

_MODES = ("archive", "propose")


class RetiredFlagOutput(TypedDict):
    """The outcome of retiring a flag: plain JSON.

    ``outcome`` is ``archived``, ``proposed`` or ``kept``. ``variation`` has ``id``, ``name`` and ``value`` of what
    everyone gets, or is None. ``experiments`` are those on the flag, each with ``environment_key`` and
    ``experiment_key``. ``references`` have ``repository``, ``path``, ``line`` and ``link``; None where LaunchDarkly has
    none to show. ``reasons`` have ``against``, ``what`` and ``cure``. ``card`` is Markdown: the proposal, or why not.
    """

    project_key: str
    flag_key: str
    outcome: str
    environments: list[str]
    variation: dict[str, Any] | None
    experiments: list[dict[str, str]]
    references: list[dict[str, Any]] | None
    reasons: list[dict[str, str]]
    card: str
    changed: bool


class LaunchDarklyRetireFlagOperator(LaunchDarklyBaseOperator):
    """Archive a flag and its experiments once everyone gets one variation and nothing uses the flag, or propose to.

    It reads the flag, and all that may stand on it, in all environments of the project. A flag is kept if it can serve
    different variations, has done so less than ``served_for`` ago, has another status than ``launched`` or
    ``inactive``, is named in code, if a running or drafted experiment, a release, another flag, a holdout or a layer
    uses it, or if a change of it awaits its approval. A task that keeps its flag succeeds, and its output and log have
    every reason with its cure.

    Safe to repeat, also after a kill: experiments are archived first and the flag last, and what is archived is left
    alone. Everything is judged anew before the first write, and the flag is read again before the last.

    Args:
        flag_key: Key of the flag.
        mode: ``archive`` archives. ``propose`` writes nothing: the output's ``card`` can be a pull request's body. It
            says where the flag is named, and which variation's branch stays.
        served_for: How long everyone must have got this variation: a timedelta, or text such as ``30d``. It counts from
            the last change of the flag in each environment, whatever that changed.
        environments: Environments in which everyone has to get it. Default: all of the project.
        require_code_references: Keep the flag if LaunchDarkly has no code references to look at. Default: archive it
            all the same.
        require_approval_requests: Keep the flag if LaunchDarkly does not show which changes of it await an approval, as
            it may to a token without that right. False archives it all the same. Default: True.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`.RetiredFlagOutput`.

    Raises:
        ConfigurationError: An argument is wrong, or the project has no such environment.
        StateError: The flag was changed, or an experiment on it was started, while it was retired.
        LaunchDarklyError: As the calls raise.
    """

    template_fields: Sequence[str] = (
        "flag_key",
        *LaunchDarklyBaseOperator.template_fields,
        "mode",
        "served_for",
        "environments",
        "require_code_references",
        "require_approval_requests",
        "comment",
    )
    operator_extra_links = (LaunchDarklyFlagLink(),)

    def __init__(
        self,
        *,
        flag_key: str,
        mode: str = "archive",
        served_for: timedelta | str = "30d",
        environments: Sequence[str] | None = None,
        require_code_references: bool = False,
        require_approval_requests: bool = True,
        comment: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self.mode = mode
        self.served_for = served_for
        self.environments = environments
        self.require_code_references = require_code_references
        self.require_approval_requests = require_approval_requests
        self.comment = comment
        required = (require_code_references, require_approval_requests)
        if all(is_literal(value) for value in (mode, served_for, environments, *required)):
            LaunchDarklyRetireFlagOperator.rule(self)

    @property
    def flag_url(self) -> str:
        """Address of the flag in LaunchDarkly's UI."""
        return self.hook.flag_url(self.flag_key)

    @override
    def act(self, context: Context) -> RetiredFlagOutput:
        """Judge the flag, and archive it with its experiments if nothing speaks against it."""
        from airflow_provider_launchdarkly.retirement.retire import retire_flag

        retired = self.hook.run(
            retire_flag(
                self.hook.project(),
                self.flag_key,
                self.rule(),
                mode=cast("Mode", self.mode),
                comment=audit_comment(self.comment, context),
            )
        )
        for reason in retired.reasons:
            self.warn("Flag %s stays: %s. Cure: %s.", self.flag_key, reason.what, reason.cure)
        if not retired.reasons:
            done = "" if retired.changed or retired.outcome == "proposed" else "; nothing to do"
            self.say("Flag %s is %s%s.", self.flag_key, retired.outcome, done)
        return cast("RetiredFlagOutput", retired.to_json())

    def rule(self) -> RetirementRule:
        """Return when the flag may be retired, from the rendered fields.

        Raises:
            ConfigurationError: A field is wrong.
        """
        from airflow_provider_launchdarkly.retirement.reasons import RetirementRule

        if self.mode not in _MODES:
            raise ConfigurationError(f"mode is {self.mode!r}: write {' or '.join(_MODES)}")
        for name in ("require_code_references", "require_approval_requests"):
            if not isinstance(getattr(self, name), bool):
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}: write True or False")
        return RetirementRule(
            _duration("served_for", self.served_for),
            _keys(self.environments),
            require_code_references=self.require_code_references,
            require_approval_requests=self.require_approval_requests,
        )


class HygieneOutput(TypedDict):
    """The hygiene report: plain JSON.

    ``running`` counts the experiments that run. ``findings`` have ``kind``, ``environment_key``, ``experiment_key``,
    ``what``, ``cure`` and ``owner``, an e-mail address. ``text`` is the report as Markdown.
    """

    project_key: str
    environments: list[str]
    running: int
    findings: list[dict[str, str]]
    text: str


class LaunchDarklyHygieneReportOperator(LaunchDarklyBaseOperator):
    """Report running experiments that nobody ends, is in, or owns, and those on a flag that is archived or off.

    Safe to repeat: it only reads. A task that finds something succeeds: its output has the findings, each with its cure
    and the owner's address. What cannot be read of one experiment is a finding too.

    Args:
        environments: Environments to look at. Default: all of the project.
        max_duration: How long an iteration may run: a timedelta, or text such as ``28d``.
        plans: How long, by experiment's key, for those that have a plan of their own.
        traffic_after: How long an iteration may run before it has to have somebody, and how long nobody may have
            requested its flag.

    Returns:
        :class:`.HygieneOutput`.

    Raises:
        ConfigurationError: An argument is wrong, or the project has no such environment.
        LaunchDarklyError: The token is refused, or LaunchDarkly cannot be reached.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyBaseOperator.template_fields,
        "environments",
        "max_duration",
        "plans",
        "traffic_after",
    )

    def __init__(
        self,
        *,
        environments: Sequence[str] | None = None,
        max_duration: timedelta | str = "28d",
        plans: Mapping[str, timedelta | str] | None = None,
        traffic_after: timedelta | str = "1d",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.environments = environments
        self.max_duration = max_duration
        self.plans = plans
        self.traffic_after = traffic_after
        if all(is_literal(value) for value in (environments, max_duration, plans, traffic_after)):
            self._durations()
            _keys(environments)

    @override
    def act(self, context: Context) -> HygieneOutput:
        """Read every running experiment, and report what is wrong."""
        from airflow_provider_launchdarkly.retirement.hygiene import HygieneRule, read_hygiene

        max_duration, plans, traffic_after = self._durations()
        rule = HygieneRule(_keys(self.environments), max_duration, plans, traffic_after)
        report = self.hook.run(read_hygiene(self.hook.project(), rule))
        self.say("%s experiments run in %s; %s findings.", report.running, report.project_key, len(report.findings))
        for finding in report.findings:
            self.warn("%s: %s. Cure: %s.", finding.experiment_key or "all experiments", finding.what, finding.cure)
        return cast("HygieneOutput", report.to_json())

    def _durations(self) -> tuple[timedelta, dict[str, timedelta], timedelta]:
        plans = {} if self.plans is None else self.plans
        if not isinstance(plans, Mapping):
            raise ConfigurationError(f"plans is {shown(plans)}: write a mapping from experiment to duration")
        return (
            _duration("max_duration", self.max_duration),
            {key: _duration(f"plans[{key!r}]", value) for key, value in plans.items()},
            _duration("traffic_after", self.traffic_after),
        )


def _keys(given: Any) -> tuple[str, ...]:
    found = () if given is None else given
    if not isinstance(found, list | tuple) or not all(isinstance(key, str) and key for key in found):
        raise ConfigurationError(f"environments is {shown(found)}: write a list of environments' keys")
    return tuple(dict.fromkeys(found))


def _duration(name: str, value: Any) -> timedelta:
    from airflow_provider_launchdarkly.config.durations import parse_duration

    try:
        return parse_duration(value)
    except ValueError as error:
        raise ConfigurationError(f"{name}: {error}") from None
