"""What a rollout would send to LaunchDarkly, and a task that prints it. Reads only; nothing is ever written here."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.api.models import StartIteration, StopIterationWithWinner, TurnFlagOn
from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._winner import choose_winner
from airflow_provider_launchdarkly.rollout.requests import experiment_post, stage_iteration
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutStepOperator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, IterationInput
    from airflow_provider_launchdarkly.rollout.spec import Rollout

OVERRIDES = (
    "experiment_key",
    "experiment_name",
    "flag_key",
    "rule_id",
    "project_key",
    "environment_key",
    "timezone",
)


def starting_requests(rollout: Rollout, env: EnvironmentRef, flag: FeatureFlag) -> Iterator[tuple[str, Request[Any]]]:
    """Every write of a rollout that passes each of its stages, up to its end, each with when it would be sent.

    Args:
        rollout: The rollout.
        env: Where it runs.
        flag: Its flag, as it is now.
    """
    key = rollout.experiment.key
    for number, stage in enumerate(rollout.stages):
        when = stage.name or f"stage {number + 1}"
        iteration = _with_version(stage_iteration(rollout, number, flag), env, flag)
        if number == 0:
            yield when, endpoints.create_experiment(env, experiment_post(rollout, iteration))
            if rollout.turn_flag_on and not flag.environments[env.environment_key].on:
                yield when, endpoints.patch_flag(env, flag.key, [TurnFlagOn()])
            yield when, endpoints.patch_experiment(env, key, [StartIteration()])
        else:
            yield when, endpoints.create_iteration(env, key, iteration)
            yield (
                when,
                endpoints.patch_experiment(
                    env, key, [StartIteration(change_justification=justification(rollout, number))]
                ),
            )


def _with_version(iteration: IterationInput, env: EnvironmentRef, flag: FeatureFlag) -> IterationInput:
    """The flag's version as it is now; the write itself reads it again just before."""
    version = flag.environments[env.environment_key].version
    flags = {key: named.model_copy(update={"flag_config_version": version}) for key, named in iteration.flags.items()}
    return iteration.model_copy(update={"flags": flags})


def stopping_request(
    env: EnvironmentRef, experiment: Experiment, iteration_id: str, winner: Any
) -> Request[Any] | None:
    """The write that would end it; None if it would be held.

    Args:
        env: Where it runs.
        experiment: The experiment, with its iterations.
        iteration_id: The iteration.
        winner: What the conclusion names as the winner.
    """
    iteration = experiment.iteration(iteration_id)
    if winner is None or iteration is None:
        return None
    named = choose_winner(winner, experiment_key=experiment.key, iteration_id=iteration_id)
    treatment = iteration.baseline if named.treatment == "baseline" else iteration.treatment(named.treatment)
    if treatment is None:
        return None
    instruction = StopIterationWithWinner(winning_treatment_id=treatment.id, winning_reason=named.reason or "")
    return endpoints.patch_experiment(env, experiment.key, [instruction])


def justification(rollout: Rollout, number: int) -> str:
    """Why a stage may end the one before it, for LaunchDarkly's record."""
    stage = rollout.stages[number]
    share = rollout.share_of_new(stage)
    return f"stage {number + 1} of {len(rollout.stages)}: {share:f} % are served something new"


class LaunchDarklyDryRunOperator(LaunchDarklyRolloutStepOperator):
    """Print each request that a rollout would send, and send none of them.

    Args:
        rollout: The rollout.
        conclusion: How it ended: prints what would stop it. Left out: prints what would start its stages.
        kwargs: Keys known only when the task runs (see ``experiment_rollout``), and what every task has.

    Returns:
        ``{"requests": [{"when", "method", "path", "body"}, …]}``.
    """

    template_fields: Sequence[str] = ("conclusion", *OVERRIDES)

    def __init__(self, *, conclusion: Any = None, **kwargs: Any) -> None:
        overrides = {name: kwargs.pop(name, None) for name in OVERRIDES}
        super().__init__(**kwargs)
        self.conclusion = conclusion
        for name, value in overrides.items():
            setattr(self, name, value)

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """Print them."""
        rollout = self.plan.overridden(**{name: getattr(self, name) for name in OVERRIDES})
        hook = LaunchDarklyHook(rollout.connection, rollout.project, rollout.environment)
        env = hook.environment()
        if self.conclusion is None:
            wanted = list(starting_requests(rollout, env, hook.get_flag(rollout.experiment.flag)))
        else:
            wanted = self._ending(hook, env, rollout)
        shown = [
            {"when": when, "method": request.method, "path": request.path, "body": request.body}
            for when, request in wanted
        ]
        for entry in shown:
            body = json.dumps(entry["body"], indent=2)
            self.log.info("dry run, %s: would send %s %s\n%s", entry["when"], entry["method"], entry["path"], body)
        if not shown:
            self.log.info("dry run: would send nothing")
        return {"requests": shown}

    def _ending(self, hook: LaunchDarklyHook, env: EnvironmentRef, rollout: Rollout) -> list[tuple[str, Request[Any]]]:
        conclusion: Mapping[str, Any] = self.conclusion
        experiment = hook.get_experiment(rollout.experiment.key, expand=ITERATIONS)
        request = stopping_request(env, experiment, str(conclusion["iteration_id"]), conclusion["winner"])
        return [(str(conclusion["ending"]), request)] if request else []


class LaunchDarklyRunningIterationOperator(LaunchDarklyRolloutStepOperator):
    """Find the iteration under way, to observe it; skip what follows if there is none. Only reads.

    Args:
        rollout: The rollout.
        kwargs: Keys known only when the task runs, and what every task has.

    Returns:
        ``{"experiment_key", "iteration_id"}``.
    """

    template_fields: Sequence[str] = OVERRIDES

    def __init__(self, **kwargs: Any) -> None:
        overrides = {name: kwargs.pop(name, None) for name in OVERRIDES}
        super().__init__(**{"multiple_outputs": True} | kwargs)
        for name, value in overrides.items():
            setattr(self, name, value)

    @override
    def step(self, context: Context) -> dict[str, Any]:
        """Find it."""
        rollout = self.plan.overridden(**{name: getattr(self, name) for name in OVERRIDES})
        hook = LaunchDarklyHook(rollout.connection, rollout.project, rollout.environment)
        try:
            running = hook.get_experiment(rollout.experiment.key, expand=ITERATIONS).running
        except NotFoundError:
            running = None
        if running is None:
            raise AirflowSkipException(
                f"nothing runs in experiment {rollout.experiment.key}: there is nothing to observe"
            )
        return {"experiment_key": rollout.experiment.key, "iteration_id": running.id}
