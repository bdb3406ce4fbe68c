"""The release that ships a winner, as LaunchDarkly takes it, and what is checked before the first stage. Pure.

The tasks send it, and the command `plan` makes the same checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.rollout.options import Ending, ReleaseKind

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.writes.shipping import ReleaseDesign
    from airflow_provider_launchdarkly.rollout.shipping import GuardedMetric
    from airflow_provider_launchdarkly.rollout.spec import Rollout


def guarded_metrics(rollout: Rollout) -> tuple[GuardedMetric, ...]:
    """Return the metrics that guard a rollout's release; none without a release, or with a progressive one."""
    return () if rollout.release is None else rollout.release.guards(rollout.judged_singly)


def endings_of(rollout: Rollout) -> tuple[Ending, ...]:
    """Return the endings that a rollout can come to: only one with a release can regress."""
    return tuple(ending for ending in Ending if ending is not Ending.REGRESSED or rollout.release is not None)


def release_in_words(rollout: Rollout, *, started: str | None = None) -> str:
    """Return how the winner ships: ``through a guarded release in steps of 10 % for 1d, guarded by latency``.

    Args:
        rollout: The rollout.
        started: The kind of the release that has started; None before.
    """
    if rollout.release is None:
        return "at once"
    release = rollout.release
    guards = ", ".join(metric.metric for metric in guarded_metrics(rollout))
    may_fall_back = release.kind is ReleaseKind.GUARDED_OR_PROGRESSIVE
    guarded = f", guarded by {guards}: a regression takes it back" if guards else ", guarded by nothing"
    if may_fall_back and started is None:
        guarded += "; where LaunchDarkly refuses to guard it, nothing does"
    elif may_fall_back and started == ReleaseKind.PROGRESSIVE:
        guarded = ", guarded by nothing, as LaunchDarkly refused to guard it"
    kind = started if may_fall_back and started is not None else release.kind_in_words
    return f"through a {kind} release in steps of {release.steps_in_words}{guarded}"


def design_of(rollout: Rollout) -> ReleaseDesign:
    """Return what a rollout's release does, as LaunchDarkly takes it.

    Raises:
        ValueError: The rollout asks for no release.
    """
    from airflow_provider_launchdarkly.api.models import ReleaseMetricInput, ReleaseStepInput
    from airflow_provider_launchdarkly.api.writes.shipping import ReleaseDesign

    release = rollout.release
    if release is None:
        raise ValueError("endings.ship asks for no release")
    return ReleaseDesign(
        steps=tuple(
            ReleaseStepInput(
                allocation=int(step.percent * 1000), duration_millis=round(step.duration.total_seconds() * 1000)
            )
            for step in release.steps
        ),
        metrics=tuple(
            ReleaseMetricInput(metric_key=metric.metric, auto_rollback=metric.auto_rollback)
            for metric in guarded_metrics(rollout)
        ),
        bypass_health_checks=tuple(kind.value for kind in release.bypass_health_checks),
        unguarded_if_refused=release.kind is ReleaseKind.GUARDED_OR_PROGRESSIVE,
    )


def check_before_start(
    rollout: Rollout, env: EnvironmentRef, *, flag_key: str | None = None, rule: str | None = None
) -> Procedure[tuple[str, ...]]:
    """Check, before anything is started, that the policy's releases exist and the winner could ship through its own.

    Only reads. An environment that demands approvals is a warning and no error, since the API does not say whether the
    token may bypass them. LaunchDarkly says neither whether its plan allows guarding, nor what its health checks will
    find then.

    Args:
        rollout: The rollout.
        env: Its project and environment.
        flag_key: The flag, if it became known only now.
        rule: The rule, likewise.

    Returns:
        A sentence for each thing that may keep the release from starting.

    Raises:
        ConfigurationError: LaunchDarkly serves no releases to this token, or a metric does not exist, or a flag or
            release of the policy's `release_guardrails`, or an environment of `endings.retire`.
        StateError: The rule could not be released.
        LaunchDarklyError: As the calls raise.
    """
    from airflow_provider_launchdarkly.api.endpoints import get_release, list_releases
    from airflow_provider_launchdarkly.api.errors import ConfigurationError, NotFoundError, PermissionDeniedError
    from airflow_provider_launchdarkly.api.reads.flags import read_flag
    from airflow_provider_launchdarkly.api.reads.metrics import find_metric
    from airflow_provider_launchdarkly.api.variations import find_rule_id
    from airflow_provider_launchdarkly.api.writes.shipping import USER, check_releasable

    for number, part in enumerate(rollout.policy.release_guardrails):
        try:
            flag = yield from read_flag(env, part.flag)
            if part.release is not None:
                yield get_release(env, flag.key, part.release)
        except NotFoundError as error:
            missing = f"flag {part.flag!r}" + (f", or no release {part.release!r} of it" if part.release else "")
            raise ConfigurationError(
                f"policy.release_guardrails[{number}]: project {env.project_key!r} has no {missing}; name one that "
                "exists"
            ) from error
    if rollout.retire is not None and rollout.retire.environments:
        yield from _check_environments(env.project_key, rollout.retire.environments)
    if rollout.release is None:
        return ()
    experiment = rollout.experiment
    flag = yield from read_flag(env, flag_key or experiment.flag)
    rule_id = find_rule_id(flag, rule or experiment.rule)
    check_releasable(env, flag, rule_id, experiment.randomization_unit or USER)
    try:
        yield list_releases(env, flag.key, limit=1)
    except (NotFoundError, PermissionDeniedError) as error:
        raise ConfigurationError(
            f"endings.ship.release: LaunchDarkly serves no releases to this token ({error}). Give the token the right, "
            "or leave the release out"
        ) from error
    for metric in guarded_metrics(rollout):
        yield from find_metric(env.project_key, metric.metric, is_group=False)
    what = "the winner's release, after the experiment has ended on its baseline"
    reviewed = rollout.launchdarkly_approval is not None
    return (yield from approvals_demanded(env, "endings.ship.release", what, reviewed=reviewed))


def _check_environments(project_key: str, named: tuple[str, ...]) -> Procedure[None]:
    """Check that the project has the environments that `endings.retire` names."""
    from airflow_provider_launchdarkly.api.endpoints import get_environment
    from airflow_provider_launchdarkly.api.errors import ConfigurationError, NotFoundError
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef

    for number, key in enumerate(named):
        try:
            yield get_environment(EnvironmentRef(project_key, key))
        except NotFoundError as error:
            raise ConfigurationError(
                f"endings.retire.environments[{number}]: project {project_key!r} has no environment {key!r}, or the "
                "token may not see it: name one that exists"
            ) from error


def approvals_demanded(env: EnvironmentRef, field: str, what: str, *, reviewed: bool) -> Procedure[tuple[str, ...]]:
    """Return a warning if changes of flags need an approval in an environment; none if it cannot be read.

    Args:
        env: Project and environment.
        field: The field that asks for the release.
        what: The release, in words.
        reviewed: True if `launchdarkly_approval` names reviewers.
    """
    from airflow_provider_launchdarkly.api.endpoints import get_environment
    from airflow_provider_launchdarkly.api.errors import NotFoundError, PermissionDeniedError

    try:
        settings = (yield get_environment(env)).value.approval_settings
    except (NotFoundError, PermissionDeniedError):
        return ()
    if settings is None or not settings.required:
        return ()
    follows = (
        "then a person has to start it in LaunchDarkly, and the task tells how and waits"
        if reviewed
        else "give the token that right, name reviewers in launchdarkly_approval, or leave the release out"
    )
    warning = (
        f"{field}: changes of flags need an approval in {env}, so unless the token may bypass approvals LaunchDarkly "
        f"refuses {what}: {follows}"
    )
    return (warning,)
