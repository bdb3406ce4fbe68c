"""The API's operations: what each path and verb does with the world. Arguments in, reply out; no HTTP server here.

Operation names are those of LaunchDarkly's published clients.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_launchdarkly.emulator import experiment_patch, flag_patch, inputs, lifecycle, measuring
from airflow_provider_launchdarkly.emulator.change import Change
from airflow_provider_launchdarkly.emulator.errors import forbidden, invalid_request, not_found
from airflow_provider_launchdarkly.emulator.reading import Body
from airflow_provider_launchdarkly.emulator.rendering import experiments as show
from airflow_provider_launchdarkly.emulator.rendering import flags as show_flags
from airflow_provider_launchdarkly.emulator.rendering import metrics as show_metrics
from airflow_provider_launchdarkly.emulator.rendering.links import link, paging_links

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.settings import Settings
    from airflow_provider_launchdarkly.emulator.state import JSON, Experiment, Token, World


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: status and JSON, and what it changed, for the journal."""

    status: int
    body: JSON
    effects: Sequence[dict[str, JSON]] = ()


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request for one operation."""

    world: World
    settings: Settings
    now: int
    token: Token
    path: str
    params: Mapping[str, str]
    query: Sequence[tuple[str, str]]
    body: Any = None

    def first(self, name: str) -> str | None:
        """The first query parameter of that name."""
        return next((value for key, value in self.query if key == name), None)

    def every(self, name: str) -> list[str]:
        """All values of a query parameter, whether repeated or separated by commas."""
        return [part for key, value in self.query if key == name for part in value.split(",") if part]

    def change(self) -> Change:
        """The view of the project in the path: 404 if there is none, 403 if the token may not see it."""
        key = self.params["projectKey"]
        project = self.world.projects.get(key)
        if project is None:
            raise not_found(f"project {key!r} not found")
        if self.token.projects is not None and key not in self.token.projects:
            raise forbidden(f"the token has no access to project {key!r}")
        return Change(
            world=self.world, project=project, now=self.now, settings=self.settings, member_id=self.token.member_id
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb on a path.

    Attributes:
        name: as in LaunchDarkly's published clients.
        method: the HTTP verb.
        path: with its parameters in braces.
        answer: does it.
        beta: whether `LD-API-Version: beta` is needed: `no`, `always`, or when the switch is `strict`.
        semantic: whether the semantic-patch content type is needed: `no`, `always`, or when the switch is `strict`.
        result: whether it is one of the results routes, which a switch can take away.
    """

    name: str
    method: str
    path: str
    answer: Callable[[Call], Reply]
    beta: Literal["no", "strict", "always"] = "no"
    semantic: Literal["no", "strict", "always"] = "no"
    result: bool = False


def create_experiment(call: Call) -> Reply:
    """POST an experiment: 201 with the experiment and its first iteration."""
    change = call.change()
    post = inputs.experiment_post(Body(call.body))
    experiment = lifecycle.create_experiment(change, call.params["environmentKey"], post)
    shown = show.experiment(experiment, change, ("treatments",))
    change.commit()
    return Reply(201, shown, change.effects)


def get_experiment(call: Call) -> Reply:
    """GET one experiment."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    return Reply(200, show.experiment(experiment, change, call.every("expand")))


def get_experiments(call: Call) -> Reply:
    """GET an environment's experiments."""
    change = call.change()
    environment_key = call.params["environmentKey"]
    change.environment(environment_key)
    return _experiment_page(call, change, change.experiments(environment_key))


def get_experiments_any_env(call: Call) -> Reply:
    """GET a project's experiments, whatever their environment."""
    change = call.change()
    return _experiment_page(call, change, change.experiments())


def patch_experiment(call: Call) -> Reply:
    """PATCH an experiment by semantic patch."""
    change = call.change()
    environment_key, key = call.params["environmentKey"], call.params["experimentKey"]
    experiment_patch.apply_patch(change, environment_key, key, Body(call.body))
    shown = show.experiment(change.experiment(environment_key, key), change, ("treatments",))
    change.commit()
    return Reply(200, shown, change.effects)


def create_iteration(call: Call) -> Reply:
    """POST an iteration: 200, not 201, with the iteration."""
    change = call.change()
    environment_key, key = call.params["environmentKey"], call.params["experimentKey"]
    change.experiment(environment_key, key)
    iteration = lifecycle.create_iteration(change, environment_key, key, inputs.iteration_input(Body(call.body)))
    shown = show.iteration(iteration, change.experiment(environment_key, key), change, ("treatments",))
    change.commit()
    return Reply(200, shown, change.effects)


def get_experiment_results(call: Call) -> Reply:
    """GET a metric's results for the current iteration, or for the one asked for."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    shown = measuring.metric_results(
        change,
        experiment,
        call.params["metricKey"],
        iteration_id=call.first("iterationId"),
        traffic="traffic" in call.every("expand"),
    )
    return Reply(200, shown)


def get_experiment_results_for_metric_group(call: Call) -> Reply:
    """GET a metric group's results for the current iteration, or for the one asked for."""
    change = call.change()
    experiment = change.experiment(call.params["environmentKey"], call.params["experimentKey"])
    shown = measuring.metric_group_results(
        change, experiment, call.params["metricGroupKey"], iteration_id=call.first("iterationId")
    )
    return Reply(200, shown)


def get_feature_flag(call: Call) -> Reply:
    """GET one flag with all its environments, or those named by `env`."""
    change = call.change()
    environments = call.every("env") or list(change.project.environments)
    return Reply(200, show_flags.flag(change.project, change.flag(call.params["featureFlagKey"]), environments))


def get_feature_flags(call: Call) -> Reply:
    """GET a project's flags. Environments come only when named, what their rules serve only with `summary=0`."""
    change = call.change()
    environments = call.every("env")
    for key in environments:
        change.environment(key)
    wanted = [
        flag
        for flag in change.project.flags.values()
        if flag.archived == ((call.first("archived") or "").lower() == "true")
    ]
    tags = set(call.every("tag"))
    wanted = [flag for flag in wanted if tags <= set(flag.tags)]
    full = (call.first("summary") or "").lower() in ("0", "false")
    page, paging = _page(call, wanted, highest=100)
    items = [show_flags.flag(change.project, flag, environments, summary=not full) for flag in page]
    return Reply(200, {"items": items, "totalCount": len(wanted), "_links": paging})


def patch_feature_flag(call: Call) -> Reply:
    """PATCH a flag by semantic patch; with `dryRun` it only says what would come of it."""
    change = call.change()
    key = call.params["featureFlagKey"]
    change.flag(key)
    body = Body(call.body)
    flag_patch.apply_patch(change, key, body)
    shown = show_flags.flag(change.project, change.flag(key), list(change.project.environments))
    if (call.first("dryRun") or "").lower() == "true":
        return Reply(200, shown)
    change.commit()
    return Reply(200, shown, change.effects)


def get_metric(call: Call) -> Reply:
    """GET one metric."""
    change = call.change()
    return Reply(200, show_metrics.metric(change, change.metric(call.params["metricKey"])))


def get_metrics(call: Call) -> Reply:
    """GET a project's metrics."""
    change = call.change()
    page, paging = _page(call, list(change.project.metrics.values()), highest=50)
    items = [show_metrics.metric(change, metric) for metric in page]
    return Reply(200, {"items": items, "totalCount": len(change.project.metrics), "_links": paging})


def get_metric_group(call: Call) -> Reply:
    """GET one metric group."""
    change = call.change()
    return Reply(200, show_metrics.metric_group(change, change.metric_group(call.params["metricGroupKey"])))


def get_metric_groups(call: Call) -> Reply:
    """GET a project's metric groups."""
    change = call.change()
    page, paging = _page(call, list(change.project.metric_groups.values()), highest=50)
    items = [show_metrics.metric_group(change, group) for group in page]
    return Reply(200, {"items": items, "totalCount": len(change.project.metric_groups), "_links": paging})


def get_project(call: Call) -> Reply:
    """GET one project."""
    project = call.change().project
    shown = show_flags.project(project)
    if "environments" in call.every("expand"):
        environments = [show_flags.environment(project, e) for e in project.environments.values()]
        here = link(f"{call.path}/environments")
        shown["environments"] = {"items": environments, "totalCount": len(environments), "_links": {"self": here}}
    return Reply(200, shown)


def get_projects(call: Call) -> Reply:
    """GET the projects that the token may see."""
    allowed = call.token.projects
    visible = [p for p in call.world.projects.values() if allowed is None or p.key in allowed]
    page, paging = _page(call, visible)
    return Reply(200, {"items": [show_flags.project(p) for p in page], "totalCount": len(visible), "_links": paging})


def get_environment(call: Call) -> Reply:
    """GET one environment."""
    change = call.change()
    return Reply(200, show_flags.environment(change.project, change.environment(call.params["environmentKey"])))


def get_environments_by_project(call: Call) -> Reply:
    """GET a project's environments."""
    project = call.change().project
    page, paging = _page(call, list(project.environments.values()))
    items = [show_flags.environment(project, environment) for environment in page]
    return Reply(200, {"items": items, "totalCount": len(project.environments), "_links": paging})


def get_caller_identity(call: Call) -> Reply:
    """GET who the token belongs to."""
    return Reply(200, show_flags.caller(call.world, call.token))


def get_root(_call: Call) -> Reply:
    """GET what there is."""
    names = ("projects", "flags", "metrics", "caller-identity", "versions")
    return Reply(200, {"links": {"self": link("/api/v2"), **{name: link(f"/api/v2/{name}") for name in names}}})


def _experiment_page(call: Call, change: Change, experiments: Sequence[Experiment]) -> Reply:
    wanted = _filtered(call, experiments)
    page, paging = _page(call, wanted)
    expand = call.every("expand")
    items = [show.experiment(experiment, change, expand) for experiment in page]
    return Reply(200, {"items": items, "total_count": len(wanted), "_links": paging})


def _filtered(call: Call, experiments: Sequence[Experiment]) -> list[Experiment]:
    """Apply `filter` and `lifecycleState`. `status` matches any iteration, a past one too (LaunchDarkly REST docs)."""
    states = call.every("lifecycleState") or ["active"]
    for state in states:
        if state not in ("active", "archived"):
            raise invalid_request(f"lifecycleState must be active, archived or both, not {state!r}")
    wanted = [e for e in experiments if ("active" if e.archived_at is None else "archived") in states]
    for term in call.every("filter"):
        field, colon, value = term.partition(":")
        matches = _FILTERS.get(field)
        if matches is None or not colon:
            raise invalid_request(f"filter takes {', '.join(_FILTERS)} as field:value, not {term!r}")
        wanted = [experiment for experiment in wanted if matches(experiment, value)]
    return wanted


_FILTERS: dict[str, Callable[[Experiment, str], bool]] = {
    "flagKey": lambda experiment, key: any(i.flag.flag_key == key for i in experiment.iterations),
    "metricKey": lambda experiment, key: any(use.key == key for i in experiment.iterations for use in i.metrics),
    "status": lambda experiment, status: any(i.status == status for i in experiment.iterations),
}


def _page(call: Call, items: Sequence[Any], highest: int | None = None) -> tuple[Sequence[Any], dict[str, Any]]:
    limit, offset = _count(call, "limit", 20, lowest=1), _count(call, "offset", 0, lowest=0)
    if highest is not None:
        limit = min(limit, highest)
    links = paging_links(call.path, call.query, limit=limit, offset=offset, total=len(items))
    return items[offset : offset + limit], links


def _count(call: Call, name: str, default: int, lowest: int) -> int:
    text = call.first(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= lowest):
        raise invalid_request(f"{name} must be a whole number from {lowest}, not {text!r}")
    return int(text)


_PROJECT = "/api/v2/projects/{projectKey}"
_EXPERIMENTS = f"{_PROJECT}/environments/{{environmentKey}}/experiments"
_EXPERIMENT = f"{_EXPERIMENTS}/{{experimentKey}}"
_GROUPS = f"{_PROJECT}/metric-groups"
_FLAGS = "/api/v2/flags/{projectKey}"
_METRICS = "/api/v2/metrics/{projectKey}"

OPERATIONS = (
    Operation("get_experiment", "GET", _EXPERIMENT, get_experiment, beta="strict"),
    Operation("patch_experiment", "PATCH", _EXPERIMENT, patch_experiment, beta="strict", semantic="strict"),
    Operation(
        "get_experiment_results",
        "GET",
        f"{_EXPERIMENT}/metrics/{{metricKey}}/results",
        get_experiment_results,
        beta="strict",
        result=True,
    ),
    Operation(
        "get_experiment_results_for_metric_group",
        "GET",
        f"{_EXPERIMENT}/metric-groups/{{metricGroupKey}}/results",
        get_experiment_results_for_metric_group,
        beta="strict",
        result=True,
    ),
    Operation("get_experiments", "GET", _EXPERIMENTS, get_experiments, beta="strict"),
    Operation("create_experiment", "POST", _EXPERIMENTS, create_experiment, beta="strict"),
    Operation("create_iteration", "POST", f"{_EXPERIMENT}/iterations", create_iteration, beta="strict"),
    Operation("get_experiments_any_env", "GET", f"{_PROJECT}/experiments", get_experiments_any_env, beta="strict"),
    Operation("get_feature_flag", "GET", f"{_FLAGS}/{{featureFlagKey}}", get_feature_flag),
    Operation("patch_feature_flag", "PATCH", f"{_FLAGS}/{{featureFlagKey}}", patch_feature_flag, semantic="always"),
    Operation("get_feature_flags", "GET", _FLAGS, get_feature_flags),
    Operation("get_metric", "GET", f"{_METRICS}/{{metricKey}}", get_metric),
    Operation("get_metrics", "GET", _METRICS, get_metrics),
    Operation("get_metric_group", "GET", f"{_GROUPS}/{{metricGroupKey}}", get_metric_group, beta="always"),
    Operation("get_metric_groups", "GET", _GROUPS, get_metric_groups, beta="always"),
    Operation("get_environment", "GET", f"{_PROJECT}/environments/{{environmentKey}}", get_environment),
    Operation("get_environments_by_project", "GET", f"{_PROJECT}/environments", get_environments_by_project),
    Operation("get_project", "GET", _PROJECT, get_project),
    Operation("get_projects", "GET", "/api/v2/projects", get_projects),
    Operation("get_caller_identity", "GET", "/api/v2/caller-identity", get_caller_identity),
    Operation("get_root", "GET", "/api/v2", get_root),
)
"""Everything that is answered. Two GETs with the same path never differ; the more frequent paths come first."""
