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
    ConfigurationError,
    DataNotArrivedError,
    InvalidRequestError,
    MetricNotMeasuredError,
    NotFoundError,
    PermissionDeniedError,
    ResultsUnavailableError,
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
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, Iteration

MAX_DURATION = timedelta(days=28)
"""How long an experiment may run, unless told otherwise."""

TRAFFIC_AFTER = timedelta(days=1)
"""How long an iteration may have nobody, unless told otherwise."""

_NO_RESULTS = (ResultsUnavailableError, DataNotArrivedError, MetricNotMeasuredError, InvalidRequestError, NotFoundError)

# In effect no limit: a listing that is cut off could leave something out.
_MOST = 1_000_000


class Forgotten(StrEnum):
    """The faults that an experiment that runs can have."""

    PAST_PLAN = "past_plan"
    NO_TRAFFIC = "no_traffic"
    NO_OWNER = "no_owner"
    ARCHIVED_FLAG = "archived_flag"


class Finding(NamedTuple):
    """One thing that is wrong with an experiment.

    Attributes:
        kind: What it is.
        environment_key: The experiment's environment.
        experiment_key: The experiment.
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
        traffic_after: How long an iteration may run before it has to have somebody.
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
            f"- **{finding.experiment_key}** ({finding.environment_key}): {finding.what}. **Cure:** {finding.cure}."
            + (f" Owner: {finding.owner}." if finding.owner else "")
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

    Traffic is read from LaunchDarkly's results; where it serves none, from the flag's status: a flag that nobody
    requests gives an experiment nobody.

    Raises:
        ConfigurationError: The project has no such environment.
        LaunchDarklyError: As the calls raise.
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
    for key in rule.environments or known:
        env = EnvironmentRef(project_key, key)
        first = list_experiments(env, expand=ITERATIONS, limit=LARGEST_PAGE)
        for experiment in (yield from collect(first, max_items=_MOST)):
            if experiment.running is not None:
                running += 1
                findings += yield from reader.look_at(env, experiment, experiment.running)
    return HygieneReport(project_key, rule.environments or known, running, tuple(findings))


def _owners() -> Procedure[dict[str, str] | None]:
    """Return e-mail addresses by member id; None if the token may not read members."""
    try:
        members = yield from collect(list_members(limit=LARGEST_PAGE), max_items=_MOST)
    except (PermissionDeniedError, NotFoundError):
        return None
    return {member.id: member.email for member in members}


@dataclass
class _Reader:
    """Looks at experiments, and reads each flag once."""

    project_key: str
    rule: HygieneRule
    now: datetime
    owners: Mapping[str, str] | None
    flags: dict[str, FeatureFlag] = field(default_factory=dict)

    def look_at(self, env: EnvironmentRef, experiment: Experiment, iteration: Iteration) -> Procedure[list[Finding]]:
        """Return what is wrong with an experiment that runs."""
        found = [*self._owner(experiment)]
        for flag_key in iteration.flags:
            found += yield from self._archived(flag_key, env)
        if iteration.started_at is not None:
            age = self.now - iteration.started_at
            found += self._plan(experiment, iteration, age)
            if age > self.rule.traffic_after:
                found += yield from self._traffic(env, experiment, iteration)
        owner = (self.owners or {}).get(experiment.maintainer_id, "")
        return [Finding(kind, env.environment_key, experiment.key, what, cure, owner) for kind, what, cure in found]

    def _owner(self, experiment: Experiment) -> Iterator[tuple[Forgotten, str, str]]:
        cure = "name a maintainer who answers for it"
        if not experiment.maintainer_id:
            yield Forgotten.NO_OWNER, "it has no maintainer", cure
        elif self.owners is not None and experiment.maintainer_id not in self.owners:
            yield Forgotten.NO_OWNER, "its maintainer is no member of the account any more", cure

    def _archived(self, flag_key: str, env: EnvironmentRef) -> Procedure[list[tuple[Forgotten, str, str]]]:
        if flag_key not in self.flags:
            answer = yield get_flag(self.project_key, flag_key, environments=(env.environment_key,))
            self.flags[flag_key] = answer.value
        if not self.flags[flag_key].archived:
            return []
        what = f"it runs on flag {flag_key!r}, which is archived"
        return [(Forgotten.ARCHIVED_FLAG, what, "restore the flag, or stop the experiment and archive it too")]

    def _plan(
        self, experiment: Experiment, iteration: Iteration, age: timedelta
    ) -> Iterator[tuple[Forgotten, str, str]]:
        planned = self.rule.plans.get(experiment.key, self.rule.max_duration)
        if age > planned:
            what = (
                f"it has run since {iteration.started_at:%Y-%m-%d}, {age.days} days, and its plan is "
                f"{format_duration(planned)}"
            )
            yield Forgotten.PAST_PLAN, what, "decide it: stop it with a winner, or with the baseline"

    def _traffic(
        self, env: EnvironmentRef, experiment: Experiment, iteration: Iteration
    ) -> Procedure[list[tuple[Forgotten, str, str]]]:
        cure = "see that the code evaluates the flag for its people, and that events arrive; or stop it"
        try:
            result = yield from check_traffic(env, experiment.key, iteration.id, 1)
        except _NO_RESULTS:
            statuses = set[str]()
            for flag_key in iteration.flags:
                statuses.add((yield get_flag_status(env, flag_key)).value.name)
            if not statuses & {"new", "inactive"}:
                return []
            return [(Forgotten.NO_TRAFFIC, f"nobody requests its flag, whose status is {min(statuses)}", cure)]
        units = result.output["units"]
        if sum(units.values()):
            return []
        return [(Forgotten.NO_TRAFFIC, "it has had no traffic yet", cure)]
