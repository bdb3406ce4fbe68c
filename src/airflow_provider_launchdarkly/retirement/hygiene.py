"""Find forgotten experiments: running ones that nobody ends, measures or owns. Only reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.api.endpoints.experiments import list_experiments
from airflow_provider_launchdarkly.api.endpoints.flags import get_flag, get_flag_status
from airflow_provider_launchdarkly.api.endpoints.projects import get_caller_identity, list_environments, list_members
from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    ConfigurationError,
    DataNotArrivedError,
    InvalidRequestError,
    LaunchDarklyError,
    MetricNotMeasuredError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    ResultsUnavailableError,
    TransportError,
)
from airflow_provider_launchdarkly.api.http.paging import LARGEST_PAGE, collect
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.checks.iteration import check_traffic
from airflow_provider_launchdarkly.config.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, FlagStatus, Iteration

    Fault = tuple["Forgotten", str, str]

MAX_DURATION = timedelta(days=28)
"""How long an experiment may run, unless told otherwise."""

TRAFFIC_AFTER = timedelta(days=1)
"""How long an iteration, or the flag that it runs on, may have nobody, unless told otherwise."""

_NO_RESULTS = (ResultsUnavailableError, DataNotArrivedError, MetricNotMeasuredError, InvalidRequestError, NotFoundError)

# The token or the connection is at fault, so every other experiment would fail too.
_OF_ALL = (AuthenticationError, ConfigurationError, RateLimitedError, TransportError)

_READABLE = (
    "see in LaunchDarkly that it exists, and that the token may view it; if LaunchDarkly failed, look again later"
)
_NOBODY = "see that the code evaluates the flag for its people, and that events arrive; or stop it"

# In effect no limit: a listing that is cut off could leave something out.
_MOST = 1_000_000


class Forgotten(StrEnum):
    """The faults that an experiment that runs can have; `UNCHECKED`: a part of it cannot be read."""

    PAST_PLAN = "past_plan"
    NO_TRAFFIC = "no_traffic"
    NO_OWNER = "no_owner"
    ARCHIVED_FLAG = "archived_flag"
    FLAG_OFF = "flag_off"
    UNCHECKED = "unchecked"


class Finding(NamedTuple):
    """One thing that is wrong with an experiment.

    Attributes:
        kind: What it is.
        environment_key: The experiment's environment.
        experiment_key: The experiment; empty if the experiments of the environment cannot be listed.
        what: What is so, in words.
        cure: What to do about it.
        owner: E-mail address of the experiment's maintainer; empty if there is none, or if it cannot be read.
    """

    kind: Forgotten
    environment_key: str
    experiment_key: str
    what: str
    cure: str
    owner: str = ""


@dataclass(frozen=True, slots=True)
class HygieneRule:
    """The limits from which an experiment counts as forgotten.

    Attributes:
        environments: Environments to look at; all of the project when empty.
        max_duration: How long an iteration may run.
        plans: How long, for experiments by key that have a plan of their own.
        traffic_after: How long an iteration may run before it has to have somebody, and how long nobody may have
            requested its flag.
    """

    environments: tuple[str, ...] = ()
    max_duration: timedelta = MAX_DURATION
    plans: Mapping[str, timedelta] = field(default_factory=dict)
    traffic_after: timedelta = TRAFFIC_AFTER


@dataclass(frozen=True, slots=True)
class HygieneReport:
    """The findings in a project.

    Attributes:
        project_key: The project.
        environments: The environments that were looked at.
        running: How many experiments run there.
        findings: What is wrong, by environment and experiment.
    """

    project_key: str
    environments: tuple[str, ...]
    running: int
    findings: tuple[Finding, ...]

    @property
    def text(self) -> str:
        """The report for people, as Markdown."""
        places = ", ".join(self.environments)
        head = f"{self.running} experiments run in {self.project_key} ({places}); {len(self.findings)} findings"
        lines = [
            f"- **{finding.experiment_key or 'all experiments'}** ({finding.environment_key}): {finding.what}. "
            f"**Cure:** {finding.cure}." + (f" Owner: {finding.owner}." if finding.owner else "")
            for finding in self.findings
        ]
        return "\n".join([f"{head}.", *lines])

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: the operator's output, and what the command prints."""
        return {
            "project_key": self.project_key,
            "environments": list(self.environments),
            "running": self.running,
            "findings": [{**finding._asdict(), "kind": str(finding.kind)} for finding in self.findings],
            "text": self.text,
        }


def read_hygiene(project_key: str, rule: HygieneRule) -> Procedure[HygieneReport]:
    """Look at every running experiment of a project. Safe to repeat: it only reads.

    LaunchDarkly's results count who has been in an experiment since its start, and do not say when the last one came.
    So traffic that has stopped is read from the flag: one that is off, or that nobody has requested for long enough,
    gives an experiment nobody. Where LaunchDarkly serves no results, the flag alone counts.

    An error that one experiment alone has, or one environment, is a finding, and all others are looked at.

    Raises:
        ConfigurationError: The project has no such environment.
        PermissionDeniedError: The token may not list the experiments of any environment.
        LaunchDarklyError: The token is refused, or LaunchDarkly cannot be reached.
    """
    listed = yield from collect(list_environments(project_key, limit=LARGEST_PAGE), max_items=_MOST)
    known = tuple(environment.key for environment in listed)
    if unknown := [key for key in rule.environments if key not in known]:
        raise ConfigurationError(
            f"environments: project {project_key!r} has no environment {unknown[0]!r}; it has {', '.join(known)}"
        )
    now = (yield get_caller_identity()).server_time
    reader = _Reader(project_key, rule, now, (yield from _owners()))
    running, findings = 0, list[Finding]()
    places, unread = rule.environments or known, 0
    for key in places:
        env = EnvironmentRef(project_key, key)
        first = list_experiments(env, expand=ITERATIONS, limit=LARGEST_PAGE)
        try:
            experiments = yield from collect(first, max_items=_MOST)
        except (PermissionDeniedError, NotFoundError) as error:
            unread += 1
            if unread == len(places):
                raise
            findings.append(Finding(Forgotten.UNCHECKED, key, "", f"they could not be listed: {error}", _READABLE))
            continue
        for experiment in experiments:
            if experiment.running is not None:
                running += 1
                findings += yield from reader.look_at(env, experiment, experiment.running)
    return HygieneReport(project_key, places, running, tuple(findings))


def _owners() -> Procedure[dict[str, str] | None]:
    """Return e-mail addresses by member id; None if the token may not read members."""
    try:
        members = yield from collect(list_members(limit=LARGEST_PAGE), max_items=_MOST)
    except (PermissionDeniedError, NotFoundError):
        return None
    return {member.id: member.email for member in members}


@dataclass
class _Reader:
    """Looks at experiments, and reads each flag once in each environment."""

    project_key: str
    rule: HygieneRule
    now: datetime
    owners: Mapping[str, str] | None
    flags: dict[tuple[EnvironmentRef, str], FeatureFlag] = field(default_factory=dict)
    statuses: dict[tuple[EnvironmentRef, str], FlagStatus] = field(default_factory=dict)

    def look_at(self, env: EnvironmentRef, experiment: Experiment, iteration: Iteration) -> Procedure[list[Finding]]:
        """Return what is wrong with an experiment that runs."""
        found: list[Fault] = [*self._owner(experiment)]
        age = self.now - iteration.started_at if iteration.started_at is not None else timedelta()
        found += self._plan(experiment, iteration, age)
        counted = None
        if age > self.rule.traffic_after:
            try:
                counted = yield from self._counted(env, experiment, iteration)
            except _OF_ALL:
                raise
            except LaunchDarklyError as error:
                found.append(_unchecked("its results", error))
        if counted == 0:
            found.append((Forgotten.NO_TRAFFIC, "it has had no traffic yet", _NOBODY))
        for flag_key in iteration.flags:
            try:
                found += yield from self._flag(env, flag_key)
                if age > self.rule.traffic_after and counted != 0:
                    found += yield from self._requests(env, flag_key, uncounted=counted is None)
            except _OF_ALL:
                raise
            except LaunchDarklyError as error:
                found.append(_unchecked(f"its flag {flag_key!r}", error))
        owner = (self.owners or {}).get(experiment.maintainer_id, "")
        return [Finding(kind, env.environment_key, experiment.key, what, cure, owner) for kind, what, cure in found]

    def _owner(self, experiment: Experiment) -> Iterator[Fault]:
        cure = "name a maintainer who answers for it"
        if not experiment.maintainer_id:
            yield Forgotten.NO_OWNER, "it has no maintainer", cure
        elif self.owners is not None and experiment.maintainer_id not in self.owners:
            yield Forgotten.NO_OWNER, "its maintainer is no member of the account any more", cure

    def _plan(self, experiment: Experiment, iteration: Iteration, age: timedelta) -> Iterator[Fault]:
        planned = self.rule.plans.get(experiment.key, self.rule.max_duration)
        if age > planned:
            what = (
                f"it has run since {iteration.started_at:%Y-%m-%d}, {age.days} days, and its plan is "
                f"{format_duration(planned)}"
            )
            yield Forgotten.PAST_PLAN, what, "decide it: stop it with a winner, or with the baseline"

    def _flag(self, env: EnvironmentRef, flag_key: str) -> Procedure[list[Fault]]:
        """Return whether a flag is archived, or off in the environment."""
        if (env, flag_key) not in self.flags:
            answer = yield get_flag(self.project_key, flag_key, environments=(env.environment_key,))
            self.flags[env, flag_key] = answer.value
        flag = self.flags[env, flag_key]
        if flag.archived:
            cure = "restore the flag, or stop the experiment and archive it too"
            return [(Forgotten.ARCHIVED_FLAG, f"it runs on flag {flag_key!r}, which is archived", cure)]
        config = flag.environments.get(env.environment_key)
        if config is None or config.on:
            return []
        changed = f", and was changed last at {_time(config.last_modified)}" if config.last_modified else ""
        what = f"it runs while flag {flag_key!r} is off{changed}: nobody is split"
        return [(Forgotten.FLAG_OFF, what, "turn the flag on, or stop the experiment")]

    def _counted(self, env: EnvironmentRef, experiment: Experiment, iteration: Iteration) -> Procedure[int | None]:
        """Return how many units an iteration has had; None if LaunchDarkly serves no results."""
        try:
            result = yield from check_traffic(env, experiment.key, iteration.id, 1)
        except _NO_RESULTS:
            return None
        units: dict[str, int] = result.output["units"]
        return sum(units.values())

    def _requests(self, env: EnvironmentRef, flag_key: str, *, uncounted: bool) -> Procedure[list[Fault]]:
        """Return whether nobody has requested a flag for too long.

        Args:
            env: The environment.
            flag_key: The flag.
            uncounted: True if no results say that somebody has been in the experiment.
        """
        if (env, flag_key) not in self.statuses:
            self.statuses[env, flag_key] = (yield get_flag_status(env, flag_key)).value
        status = self.statuses[env, flag_key]
        last = status.last_requested
        if last is not None and self.now - last > self.rule.traffic_after:
            what = f"nobody has requested flag {flag_key!r} since {_time(last)}, {(self.now - last).days} days ago"
            return [(Forgotten.NO_TRAFFIC, what, _NOBODY)]
        if last is None and status.name in {"new", "inactive"} and (uncounted or status.name == "inactive"):
            return [(Forgotten.NO_TRAFFIC, f"nobody requests its flag, whose status is {status.name}", _NOBODY)]
        return []


def _unchecked(part: str, error: LaunchDarklyError) -> Fault:
    return Forgotten.UNCHECKED, f"{part} could not be checked: {error}", _READABLE


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
