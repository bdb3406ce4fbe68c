"""The dry run of a rollout: the requests that it would send, and two internal operators. Only reads.

The operators keep the prefix ``LaunchDarkly`` because Airflow's UI shows the class of each task.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowSkipException
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import NotFoundError
from airflow_provider_launchdarkly.rollout.options import Ending
from airflow_provider_launchdarkly.rollout.release_requests import release_in_words
from airflow_provider_launchdarkly.rollout.requests import experiment_post, stage_iteration
from airflow_provider_launchdarkly.rollout.steps import LaunchDarklyRolloutBaseOperator
from airflow_provider_launchdarkly.rollout.words import retirement_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, IterationInput
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
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
    """Yield every write of a rollout that passes each of its stages, with the stage that sends it.

    Args:
        rollout: The rollout.
        env: Its project and environment.
        flag: Its flag, as it is now.
    """
    # Imported here, as everything that only a running task needs.
    from airflow_provider_launchdarkly.api import endpoints
    from airflow_provider_launchdarkly.api.models import StartIteration, TurnFlagOn

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
    """Return the iteration with the flag's version as it is now; the real write reads the version just before."""
    version = flag.environments[env.environment_key].version
    flags = {key: named.model_copy(update={"flag_config_version": version}) for key, named in iteration.flags.items()}
    return iteration.model_copy(update={"flags": flags})


def stopping_request(
    env: EnvironmentRef, experiment: Experiment, iteration_id: str, winner: Any
) -> Request[Any] | None:
    """Return the write that would stop an iteration; None if nothing would be stopped.

    Args:
        env: Its project and environment.
        experiment: The experiment, read with its iterations.
        iteration_id: The iteration.
        winner: The outcome's winner.
    """
    from airflow_provider_launchdarkly.api import endpoints
    from airflow_provider_launchdarkly.api.models import StopIterationWithWinner
    from airflow_provider_launchdarkly.operators._winner import choose_winner

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
    """Return why a stage ends the one before it, for LaunchDarkly's record."""
    stage = rollout.stages[number]
    share = rollout.share_of_new(stage)
    return f"stage {number + 1} of {len(rollout.stages)}: {share.normalize():f} % are served something new"


class _OverriddenRolloutOperator(LaunchDarklyRolloutBaseOperator):
    """The base of operators that take keys known only when the task runs."""

    def __init__(self, **kwargs: Any) -> None:
        overrides = {name: kwargs.pop(name, None) for name in OVERRIDES}
        super().__init__(**kwargs)
        for name, value in overrides.items():
            setattr(self, name, value)

    def overridden(self) -> Rollout:
        """Return the rollout with these keys."""
        return self.rollout_spec.overridden(**{name: getattr(self, name) for name in OVERRIDES})


class LaunchDarklyDryRunOperator(_OverriddenRolloutOperator):
    """Log each request that a rollout would send, and send none of them. Internal.

    Args:
        rollout: The rollout.
        outcome: How it ended: logs the request that would stop it. Default: logs those that would start its stages.
        kwargs: Keys known only when the task runs (see ``experiment_rollout``), and the arguments of every task.

    Returns:
        ``{"requests": [{"when", "method", "path", "body"}, …]}``.
    """

    template_fields: Sequence[str] = ("outcome", *OVERRIDES)

    def __init__(self, *, outcome: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.outcome = outcome

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Log the requests and return them."""
        rollout = self.overridden()
        hook = self.hook_of(rollout, rollout.project, rollout.environment)
        env = hook.environment()
        if self.outcome is None:
            wanted = list(starting_requests(rollout, env, hook.get_flag(rollout.experiment.flag)))
        else:
            wanted = self._stopping(hook, env, rollout)
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

    def _stopping(
        self, hook: LaunchDarklyHook, env: EnvironmentRef, rollout: Rollout
    ) -> list[tuple[str, Request[Any]]]:
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

        outcome: Mapping[str, Any] = self.outcome
        experiment = hook.get_experiment(rollout.experiment.key, expand=ITERATIONS)
        by_release = outcome["ending"] == Ending.SHIP and rollout.release is not None
        winner = "baseline" if by_release else outcome["winner"]
        request = stopping_request(env, experiment, str(outcome["iteration_id"]), winner)
        if by_release:
            self.log.info("dry run: then it would ship %s", release_in_words(rollout))
        if rollout.retire is not None and outcome["winner"] is not None:
            self.log.info("dry run: afterwards it would %s", retirement_in_words(rollout))
        return [(str(outcome["ending"]), request)] if request else []


class LaunchDarklyRunningIterationOperator(_OverriddenRolloutOperator):
    """Find the running iteration, to observe it; skip what follows if there is none. Internal.

    Args:
        rollout: The rollout.
        kwargs: Keys known only when the task runs, and the arguments of every task.

    Returns:
        ``{"experiment_key", "iteration_id"}``.
    """

    template_fields: Sequence[str] = OVERRIDES

    @override
    def act(self, context: Context) -> dict[str, Any]:
        """Find the iteration, or skip."""
        from airflow_provider_launchdarkly.api.reads.experiments import ITERATIONS

        rollout = self.overridden()
        hook = self.hook_of(rollout, rollout.project, rollout.environment)
        try:
            running = hook.get_experiment(rollout.experiment.key, expand=ITERATIONS).running
        except NotFoundError:
            running = None
        if running is None:
            raise AirflowSkipException(f"experiment {rollout.experiment.key} has no running iteration to observe")
        return {"experiment_key": rollout.experiment.key, "iteration_id": running.id}
