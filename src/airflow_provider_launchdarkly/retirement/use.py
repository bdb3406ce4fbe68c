"""Read everything that tells whether a flag is still needed: what it serves, who asks for it, and what stands on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.endpoints.approvals import list_approval_requests
from airflow_provider_launchdarkly.api.endpoints.code_references import list_code_references
from airflow_provider_launchdarkly.api.endpoints.experiments import list_experiments
from airflow_provider_launchdarkly.api.endpoints.flags import (
    get_flag,
    get_flag_statuses,
    list_dependent_flags,
    list_flags,
)
from airflow_provider_launchdarkly.api.endpoints.holdouts import get_holdout, list_holdouts, list_layers
from airflow_provider_launchdarkly.api.endpoints.projects import list_environments
from airflow_provider_launchdarkly.api.endpoints.releases import list_releases
from airflow_provider_launchdarkly.api.errors import (
    AuthenticationError,
    NotFoundError,
    PermissionDeniedError,
    StateError,
)
from airflow_provider_launchdarkly.api.http.paging import LARGEST_PAGE, collect
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, Iteration

_SHOWN = ("treatments", "draftIteration", "previousIterations")
# In effect no limit: a listing that is cut off could miss a use.
_MOST = 1_000_000


class Reference(NamedTuple):
    """A place in code that names the flag, on a repository's default branch."""

    repository: str
    path: str
    line: int
    link: str = ""


class Place(NamedTuple):
    """Something of one environment, by its key, with what a person needs to know of it."""

    environment_key: str
    key: str
    detail: str = ""


class UsedIn(NamedTuple):
    """An experiment on the flag, in an environment."""

    environment_key: str
    experiment: Experiment

    def open_iterations(self, flag_key: str) -> tuple[Iteration, ...]:
        """Return the experiment's iterations on the flag that run or may still be started."""
        if self.experiment.archived:
            return tuple(i for i in self.experiment.iterations if i.running and flag_key in i.flags)
        return tuple(i for i in self.experiment.iterations if not i.stopped and flag_key in i.flags)


@dataclass(frozen=True, slots=True)
class FlagUse:
    """All that was read of a flag.

    Attributes:
        project_key: Its project.
        flag: The flag with all environments.
        now: The time by LaunchDarkly's clock (aware UTC).
        statuses: ``new``, ``inactive``, ``active`` or ``launched``, by environment.
        experiments: Every experiment with an iteration on the flag, archived ones included.
        dependents: Environments by key of the flag that has this one as a prerequisite.
        holdouts: Holdouts that have not ended and use the flag, or an experiment on it.
        layers: Layers with a reservation for an experiment on the flag.
        releases: Releases of the flag that have not ended.
        requests: Approval requests for changes of the flag that may still be applied.
        unread_requests: Environments whose approval requests LaunchDarkly does not show to this token.
        references: Where code names the flag; None if LaunchDarkly scans no repository, or does not show it.
    """

    project_key: str
    flag: FeatureFlag
    now: datetime
    statuses: Mapping[str, str]
    experiments: tuple[UsedIn, ...]
    dependents: Mapping[str, tuple[str, ...]]
    holdouts: tuple[Place, ...]
    layers: tuple[Place, ...]
    releases: tuple[Place, ...]
    requests: tuple[Place, ...]
    unread_requests: tuple[str, ...]
    references: tuple[Reference, ...] | None


def read_flag_everywhere(project_key: str, flag_key: str) -> Procedure[tuple[FeatureFlag, datetime]]:
    """Read a flag in all environments of its project, and the time by LaunchDarkly's clock.

    Raises:
        NotFoundError: There is no such flag.
        StateError: LaunchDarkly shows the flag without one of the project's environments.
        LaunchDarklyError: As the calls raise.
    """
    environments = yield from collect(list_environments(project_key, limit=LARGEST_PAGE), max_items=_MOST)
    keys = tuple(environment.key for environment in environments)
    response = yield get_flag(project_key, flag_key, environments=keys)
    flag: FeatureFlag = response.value
    if missing := [key for key in keys if key not in flag.environments]:
        raise StateError(
            f"flag {flag_key!r} is shown without environment {missing[0]!r}: give the token the right to view all "
            "environments of the project"
        )
    return flag, response.server_time


def read_flag_use(project_key: str, flag_key: str) -> Procedure[FlagUse]:
    """Read a flag, and everything in its project that uses it. Only reads.

    Raises:
        NotFoundError: There is no such flag.
        StateError: LaunchDarkly shows the flag without one of the project's environments.
        LaunchDarklyError: As the calls raise.
    """
    flag, now = yield from read_flag_everywhere(project_key, flag_key)
    keys = tuple(flag.environments)
    statuses = (yield get_flag_statuses(project_key, flag_key)).value.environments
    experiments = yield from _experiments(project_key, keys, flag_key)
    requests, unread_requests = yield from _requests(project_key, keys, flag_key)
    return FlagUse(
        project_key=project_key,
        flag=flag,
        now=now,
        statuses={key: statuses[key].name if key in statuses else "" for key in keys},
        experiments=experiments,
        dependents=(yield from _dependents(project_key, keys, flag_key)),
        holdouts=(yield from _holdouts(project_key, keys, flag_key, experiments)),
        layers=(yield from _layers(project_key, experiments)),
        releases=(yield from _releases(project_key, keys, flag_key)),
        requests=requests,
        unread_requests=unread_requests,
        references=(yield from _references(project_key, flag_key)),
    )


def _experiments(project_key: str, keys: tuple[str, ...], flag_key: str) -> Procedure[tuple[UsedIn, ...]]:
    found = []
    for key in keys:
        first = list_experiments(
            EnvironmentRef(project_key, key),
            flag_key=flag_key,
            lifecycle_state=("active", "archived"),
            expand=_SHOWN,
            limit=LARGEST_PAGE,
        )
        listed = yield from collect(first, max_items=_MOST)
        found += [UsedIn(key, experiment) for experiment in listed if _is_on(experiment, flag_key)]
    return tuple(found)


def _is_on(experiment: Experiment, flag_key: str) -> bool:
    return any(flag_key in iteration.flags for iteration in experiment.iterations)


def _dependents(project_key: str, keys: tuple[str, ...], flag_key: str) -> Procedure[dict[str, tuple[str, ...]]]:
    try:
        answer = (yield list_dependent_flags(project_key, flag_key)).value
    except (PermissionDeniedError, NotFoundError):
        # A beta resource of some plans only. The flags themselves show their prerequisites on every plan.
        found: dict[str, tuple[str, ...]] = {}
        first = list_flags(project_key, environments=keys, with_rules=True, limit=LARGEST_PAGE)
        for flag in (yield from collect(first, max_items=_MOST)):
            places = tuple(
                key for key, config in flag.environments.items() if flag_key in {p.key for p in config.prerequisites}
            )
            found |= {flag.key: places} if places else {}
        return found
    return {flag.key: tuple(place.key for place in flag.environments) for flag in answer.items}


def _holdouts(
    project_key: str, keys: tuple[str, ...], flag_key: str, experiments: tuple[UsedIn, ...]
) -> Procedure[tuple[Place, ...]]:
    found = []
    for key in keys:
        env = EnvironmentRef(project_key, key)
        mine = [used.experiment for used in experiments if used.environment_key == key]
        for listed in (yield from collect(list_holdouts(env, limit=LARGEST_PAGE), max_items=_MOST)):
            if listed.status == "ended":
                continue
            related = {experiment.key for experiment in listed.experiments}
            held = [
                experiment for experiment in mine if experiment.holdout_id == listed.id or experiment.key in related
            ]
            if held:
                found.append(Place(key, listed.key, f"it holds people out of experiment {held[0].key!r}"))
                continue
            base = (yield get_holdout(env, listed.key)).value.base_experiment
            if base is not None and _is_on(base, flag_key):
                found.append(Place(key, listed.key, "it stands on the flag"))
    return tuple(found)


def _layers(project_key: str, experiments: tuple[UsedIn, ...]) -> Procedure[tuple[Place, ...]]:
    found: dict[Place, None] = {}
    for used in experiments:
        env, key = used.environment_key, used.experiment.key
        page = (yield list_layers(project_key, filters=f"reservations.experimentKey contains {key}")).value
        for layer in page.items:
            config = layer.environments.get(env)
            shown = {reservation.experiment_key for reservation in config.reservations} if config else set()
            # A layer that does not show its reservations counts as one that has this.
            if key in shown or not layer.environments:
                found[Place(env, layer.key, f"it reserves traffic for experiment {key!r}")] = None
    return tuple(found)


def _releases(project_key: str, keys: tuple[str, ...], flag_key: str) -> Procedure[tuple[Place, ...]]:
    found = []
    for key in keys:
        first = list_releases(EnvironmentRef(project_key, key), flag_key, limit=LARGEST_PAGE)
        try:
            listed = yield from collect(first, max_items=_MOST)
        except (PermissionDeniedError, NotFoundError):
            # A beta resource that not every account has. A release that runs without it splits a rule, which shows.
            continue
        found += [Place(key, release.id, f"its status is {release.status}") for release in listed if not release.ended]
    return tuple(found)


def _requests(
    project_key: str, keys: tuple[str, ...], flag_key: str
) -> Procedure[tuple[tuple[Place, ...], tuple[str, ...]]]:
    """Return the requests that may still change the flag, and the environments in which they cannot be read."""
    found, unread = list[Place](), list[str]()
    for key in keys:
        try:
            listed = (yield list_approval_requests(EnvironmentRef(project_key, key), flag_key)).value.items
        except (AuthenticationError, PermissionDeniedError, NotFoundError):
            # The flag itself was shown, so the token is good and lacks this right; LaunchDarkly uses 401 for that too.
            unread.append(key)
            continue
        for request in listed:
            if request.open:
                kinds = dict.fromkeys(str(each.get("kind", "a change")) for each in request.instructions)
                waits = "is approved and waits to be applied" if request.approved else "waits for its approval"
                named = f" ({request.description})" if request.description else ""
                found.append(Place(key, request.id, f"{', '.join(kinds) or 'a change'}{named} {waits}"))
    return tuple(found), tuple(unread)


def _references(project_key: str, flag_key: str) -> Procedure[tuple[Reference, ...] | None]:
    try:
        repositories = (yield list_code_references(project_key, flag_key)).value.items
    except (PermissionDeniedError, NotFoundError):
        return None
    scanned = [repository for repository in repositories if repository.enabled]
    if not any(branch.name == repository.default_branch for repository in scanned for branch in repository.branches):
        return None
    return tuple(
        Reference(repository.name, reference.path, hunk.starting_line_number, repository.source_link)
        for repository in scanned
        for branch in repository.branches
        if branch.name == repository.default_branch
        for reference in branch.references
        for hunk in reference.hunks
        if hunk.flag_key in ("", flag_key) and hunk.proj_key in ("", project_key)
    )
