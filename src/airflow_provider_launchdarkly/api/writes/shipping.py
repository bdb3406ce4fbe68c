"""Ship a winner through a release: stop the iteration on its baseline, and start the release in its place.

LaunchDarkly takes no release on a rule on which an experiment runs, so the stop comes first. Everyone gets the baseline
from then on, which the first step of the release goes on from: nothing else is served in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.endpoints.flags import patch_flag
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    Difference,
    GuardingDeniedError,
    HealthChecksFailedError,
    IterationStoppedError,
    PermissionDeniedError,
    ReleaseActiveError,
    StateError,
)
from airflow_provider_launchdarkly.api.models import FALLTHROUGH, OtherFlagInstruction, ReleasePost, Rule
from airflow_provider_launchdarkly.api.reads.experiments import pinned, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import flag_that_serves, read_flag
from airflow_provider_launchdarkly.api.reads.releases import KEPT, every_release
from airflow_provider_launchdarkly.api.variations import rule_of
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked
from airflow_provider_launchdarkly.api.writes.left_rules import on_left_rule, on_same_rule, plain_clauses
from airflow_provider_launchdarkly.api.writes.releases import check_on, same_release, start_release
from airflow_provider_launchdarkly.api.writes.stop import BASELINE, stop_iteration
from airflow_provider_launchdarkly.api.writes.stop_for_release import is_stop_for_a_release, stop_reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import (
        EnvironmentRelease,
        FeatureFlag,
        HealthCheck,
        Iteration,
        ReleaseMetricInput,
        ReleaseStepInput,
        Treatment,
    )
    from airflow_provider_launchdarkly.api.writes.stop import StopEffect, StoppedIteration

_SHIPS = "Ships "

USER = "user"
"""The kind of context that LaunchDarkly randomizes by if an iteration names none."""


@dataclass(frozen=True, slots=True)
class ReleaseDesign:
    """The steps and metrics of a release, whatever it ships.

    Attributes:
        steps: Its steps, in their order.
        metrics: The metrics that guard it; none in a progressive one.
        bypass_health_checks: The kinds of LaunchDarkly's checks that may fail when it starts.
        unguarded_if_refused: True if the release takes its steps without the metrics where LaunchDarkly refuses to
            guard it.
    """

    steps: tuple[ReleaseStepInput, ...]
    metrics: tuple[ReleaseMetricInput, ...] = ()
    bypass_health_checks: tuple[HealthCheck, ...] = ()
    unguarded_if_refused: bool = False


@dataclass(frozen=True, slots=True)
class ShippedByRelease:
    """An iteration that ended on its baseline, and the release that follows.

    Attributes:
        stopped: The iteration.
        release: The release, as last read. An adopted one may have ended since.
        treatment: The treatment that it ships.
        baseline: The treatment that it starts from.
        rule_id: The rule on which the experiment ran, ``fallthrough`` for the default rule.
        adopted: Whether the release was there before, so that nothing was written.
    """

    stopped: StoppedIteration
    release: EnvironmentRelease
    treatment: Treatment
    baseline: Treatment
    rule_id: str
    adopted: bool


@dataclass(frozen=True, slots=True)
class _Way:
    """From where to where an iteration's winner goes: treatments, variations, and the flag's rule."""

    baseline: Treatment
    treatment: Treatment
    flag_key: str
    rule_id: str
    original: str
    target: str


class _OwnReleases:
    """The releases that an iteration's winner had: there is at most one, whatever a rollout file says by now.

    Args:
        way: From where to where the winner goes.
        names: The end of the description that a new rule of its release has.
        stopped: The iteration, which has ended.
    """

    def __init__(self, way: _Way, names: str, stopped: StoppedIteration) -> None:
        self._way, self._names, self._stopped = way, names, stopped
        since = stopped.iteration.ended_at
        starts = [each.started_at for each in stopped.experiment.iterations if each.started_at is not None]
        self._until = min((start for start in starts if since is not None and start >= since), default=None)

    def __call__(self, release: EnvironmentRelease) -> bool:
        """Return whether a release that has ended was this iteration's."""
        way, began, since = self._way, release.created_at, self._stopped.iteration.ended_at
        variations = (release.original_variation_id, release.target_variation_id)
        if not release.ended or variations != (way.original, way.target):
            return False
        described = (release.phases[0].description if release.phases else None) or ""
        if described.startswith(_SHIPS) and " of experiment " in described:  # it names whose it is
            return described.endswith(self._names)
        if began is None or since is None:
            return False
        return began >= since and (self._until is None or began < self._until)

    def check_startable(self, now: datetime, *, there: bool) -> None:
        """Check that the iteration ended for its release, and that a release which ended would still be listed.

        Args:
            now: LaunchDarkly's time.
            there: True if the release is there.

        Raises:
            IterationStoppedError: Somebody else ended it, or LaunchDarkly does not show why it ended.
            StateError: It ended too long ago.
        """
        iteration, why = self._stopped.iteration, self._stopped.iteration.winning_reason
        where = f"iteration {iteration.id!r} of experiment {self._stopped.experiment.key!r}"
        cure = "To ship the winner all the same, start a release of the flag, or set its rule, in LaunchDarkly"
        if why and not is_stop_for_a_release(why):
            raise IterationStoppedError(
                f"{where} was stopped on {self._way.baseline.name!r} by somebody else ({why!r}), so no release ships "
                f"{self._way.treatment.name!r}: nothing was started. {cure}",
                winner=iteration.winning_treatment_id,
            )
        if there or not self._stopped.already_stopped:
            return
        if not why:
            raise IterationStoppedError(
                f"{where} was stopped on {self._way.baseline.name!r} before, and LaunchDarkly does not show why, so it "
                f"may have been a person's decision: nothing was started. {cure}",
                winner=iteration.winning_treatment_id,
            )
        if iteration.ended_at is not None and now - iteration.ended_at > KEPT:
            raise StateError(
                f"{where} ended on {iteration.ended_at:%Y-%m-%d} for a release of {self._way.treatment.name!r}, and "
                f"LaunchDarkly lists no release of it: it keeps them {KEPT.days} days, so that one may have gone back. "
                f"Nothing was started. {cure}"
            )


def ship_by_release(
    env: EnvironmentRef,
    experiment_key: str,
    iteration_id: str,
    *,
    treatment_id: str,
    design: ReleaseDesign,
    reason: str,
    comment: str | None = None,
    any_description: bool = False,
    announce_stop: Callable[[StopEffect], None] = lambda _effect: None,
    announce_start: Callable[[], None] = lambda: None,
    announce_unguarded: Callable[[GuardingDeniedError], None] = lambda _refused: None,
) -> Procedure[ShippedByRelease]:
    """Stop an iteration on its baseline, and start the release of its winner in its place.

    Safe to repeat, and after a kill at any point. The iteration is pinned by its id. The stop of an earlier try is
    known by the reason that LaunchDarkly recorded; anybody else's stop on the baseline is a decision for it, and
    nothing is started. An iteration has one release: one that goes on has to be as asked; one that has ended is the
    iteration's, whatever its steps and metrics, if it goes from the baseline to the winner and began between the
    iteration's end and the start of the experiment's next one. What can be known before is checked before the stop.
    Where an earlier release has left a rule for all contexts, the release runs on it if it serves the baseline to
    everyone (see :func:`.on_left_rule`).
    Between the two writes the flag has to serve the baseline: if it was changed, nothing is started.

    Where LaunchDarkly refuses to guard the release, and ``design`` allows it, the release starts without metrics at
    once. A repeat finds that one, and does not try the guarded one again.

    Args:
        env: Project and environment.
        experiment_key: The experiment.
        iteration_id: The iteration.
        treatment_id: The winner.
        design: The release.
        reason: Why it wins, for LaunchDarkly's record, where :func:`stop_reason` puts it in words.
        comment: Text for LaunchDarkly's audit log.
        any_description: As for :func:`start_release`, for a release that a person may have started.
        announce_stop: Called just before the stop; not called if nothing is written.
        announce_start: Called just before the start; not called if nothing is written.
        announce_unguarded: Called with LaunchDarkly's refusal to guard the release, before the start without metrics.

    Raises:
        ConfigurationError: The iteration has no such treatment, or it is the baseline.
        IterationStoppedError: The iteration was stopped with another winner, or not for a release. Nothing was started.
        FlagServesUnexpectedVariationError: The flag serves something else than the baseline since. Nothing was started.
        ReleaseActiveError: Another release is active on the flag.
        FlagOffError: The flag is off or archived.
        PermissionDeniedError: LaunchDarkly refuses the release; the message says what people get then. It is a
            GuardingDeniedError if the account's plan may be the cause.
        HealthChecksFailedError: LaunchDarkly's health checks fail at the start; the message says what people get then.
        StateError: The rule cannot be released (see :func:`check_releasable`), or a rule for all contexts is there that
            no release may use.
        LaunchDarklyError: As :func:`stop_iteration` and :func:`start_release` raise.
    """
    iteration = pinned((yield from read_experiment(env, experiment_key)), iteration_id)
    way = _way(iteration, treatment_id)
    unit = iteration.randomization_unit or USER
    names = f"of experiment {experiment_key}, iteration {iteration_id}"
    asked = _post(way, design, names=names, unit=unit, comment=comment)
    flag = yield from read_flag(env, way.flag_key)
    if not iteration.stopped:
        check_on(env, flag)
        releases = (yield from every_release(env, way.flag_key)).items
        _check_free(env, flag, releases)
        check_releasable(env, flag, way.rule_id, unit)
        on_left_rule(env, flag, asked, releases)
    stopped = yield from stop_iteration(
        env,
        experiment_key,
        iteration_id,
        winner=way.baseline.id or BASELINE,
        reason=stop_reason(reason),
        comment=comment,
        announce=announce_stop,
    )
    flag = yield from read_flag(env, way.flag_key)
    post = on_same_rule(env, flag, asked)
    known = yield from every_release(env, way.flag_key)
    unguarded = post.model_copy(update={"metrics": ()}) if design.metrics and design.unguarded_if_refused else None
    if unguarded and any(same_release(env, flag, unguarded, each, since=None) for each in known.items):
        post, unguarded = unguarded, None
    own = _OwnReleases(way, names, stopped)
    there = any(own(each) or same_release(env, flag, post, each, since=None) for each in known.items)
    own.check_startable(known.read_at, there=there)
    if not there:
        if all(release.ended for release in known.items):  # else the start names the one that is under way
            on_left_rule(env, flag, asked, known.items)
        yield from flag_that_serves(env, way.flag_key, way.rule_id, way.original)
    start = partial(
        start_release, env, way.flag_key, any_description=any_description, earlier=own, announce=announce_start
    )
    try:
        try:
            started = yield from start(post)
        except GuardingDeniedError as unable:
            if unguarded is None:
                raise
            announce_unguarded(unable)
            started = yield from start(unguarded)
    except (PermissionDeniedError, HealthChecksFailedError) as refused:
        failing: dict[str, Any] = {"failing": refused.failing} if isinstance(refused, HealthChecksFailedError) else {}
        raise type(refused)(
            f"{refused}. Iteration {iteration_id!r} of experiment {experiment_key!r} has ended: everyone gets "
            f"{way.baseline.name!r}, the baseline, and nobody {way.treatment.name!r}. {_cure(refused)}, and clear this "
            "task: it starts the release then",
            call=refused.call,
            refusal=refused.refusal,
            **failing,
        ) from refused
    return ShippedByRelease(stopped, started.release, way.treatment, way.baseline, way.rule_id, started.adopted)


def _cure(refused: PermissionDeniedError | HealthChecksFailedError) -> str:
    if isinstance(refused, HealthChecksFailedError):
        return "Mend what the checks name, or name their kinds in bypass_health_checks of endings.ship.release"
    right = "give the token the right to start releases"
    if isinstance(refused, GuardingDeniedError):
        return f"Write kind: progressive or guarded_or_progressive in endings.ship.release, or {right}"
    return right.capitalize()


def check_releasable(
    env: EnvironmentRef,
    flag: FeatureFlag,
    rule_id: str,
    unit: str,
    *,
    otherwise: str = "leave out endings.ship.release",
) -> None:
    """Check that LaunchDarkly would take a release on a rule.

    Args:
        env: Project and environment.
        flag: The flag.
        rule_id: The rule, ``fallthrough`` for the default rule, in front of which a new one is made.
        unit: The kind of context that is randomized.
        otherwise: What else to do than to change the rule, for the error.

    Raises:
        StateError: The flag has no such rule, or the rule has no clause on the kind of context.
    """
    rule = rule_of(flag, flag.environments[env.environment_key], rule_id)
    clauses = plain_clauses(rule) if isinstance(rule, Rule) else []
    if rule_id != FALLTHROUGH and kind_clause(unit) not in clauses:
        raise StateError(
            f"rule {rule_id!r} of flag {flag.key!r} in {env} has no clause that the context's kind is {unit!r} alone, "
            f"which LaunchDarkly demands of a rule with a release: add it to the rule, or {otherwise}"
        )


def remove_rule(
    env: EnvironmentRef, flag_key: str, rule_id: str, *, comment: str | None = None
) -> Procedure[Ensured[FeatureFlag]]:
    """Remove a rule of a flag. Safe to repeat: a rule that is gone is left alone.

    Args:
        env: Project and environment.
        flag_key: The flag.
        rule_id: The rule's id.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        LaunchDarklyError: As the calls raise.
    """

    def differences(flag: FeatureFlag) -> tuple[Difference, ...]:
        there = flag.environments[env.environment_key].rule(rule_id) is not None
        return (Difference("rules", None, rule_id),) if there else ()

    return ensure(
        fields_as_asked(
            f"flag {flag_key!r} has no rule {rule_id!r} in {env}",
            read=lambda: read_flag(env, flag_key),
            differences=differences,
            write=lambda _flag: patch_flag(
                env, flag_key, [OtherFlagInstruction.of("removeRule", ruleId=rule_id)], comment=comment
            ),
        )
    )


def _way(iteration: Iteration, treatment_id: str) -> _Way:
    treatment = next((each for each in iteration.treatments if each.id == treatment_id), None)
    baseline = iteration.baseline
    if treatment is None or baseline is None or treatment.baseline:
        problem = "is the baseline, which everyone gets already" if treatment and treatment.baseline else "is not there"
        raise ConfigurationError(
            f"treatment {treatment_id!r} of iteration {iteration.id!r} {problem}: nothing was sent"
        )
    if len(iteration.flags) != 1:
        raise StateError(
            f"iteration {iteration.id!r} shows {len(iteration.flags)} flags ({', '.join(iteration.flags) or 'none'}); "
            "a release is defined for exactly one. Ship the winner in LaunchDarkly"
        )
    flag_key, rule = next(iter(iteration.flags.items()))
    original, target = baseline.variation_of(flag_key), treatment.variation_of(flag_key)
    if original is None or target is None:
        raise StateError(f"a treatment of iteration {iteration.id!r} names no variation of flag {flag_key!r}")
    return _Way(baseline, treatment, flag_key, rule.targeting_rule, original, target)


def _check_free(env: EnvironmentRef, flag: FeatureFlag, releases: Iterable[EnvironmentRelease]) -> None:
    """Check, before the stop, that no release is active on the flag."""
    for release in releases:
        if not release.ended:
            raise ReleaseActiveError(
                f"release {release.id!r} is {release.status} on flag {flag.key!r} in {env}, so the winner's cannot "
                "start: wait until it ends, or stop it first. The experiment goes on",
                release_id=release.id,
            )


def _post(way: _Way, design: ReleaseDesign, *, names: str, unit: str, comment: str | None) -> ReleasePost:
    """Return the release of a winner: on the experiment's rule, or on a new one in front of the default rule."""
    phase: dict[str, Any] = {"steps": design.steps}
    if way.rule_id != FALLTHROUGH:
        phase["rule_id"] = way.rule_id
    else:
        phase["clauses"] = [kind_clause(unit)]
        phase["description"] = f"{_SHIPS}{way.treatment.name} {names}"
    return ReleasePost.checked(
        {
            "original_variation_id": way.original,
            "target_variation_id": way.target,
            "randomization_unit": unit,
            "phases": [phase],
            "metrics": design.metrics,
            "cleanup_behavior": "remove_rules_and_update_default_rule"
            if way.rule_id == FALLTHROUGH
            else "leave_rules_in_place",
            **({"bypass_health_checks": design.bypass_health_checks} if design.bypass_health_checks else {}),
            **({"comment": comment} if comment else {}),
        }
    )


def kind_clause(unit: str) -> dict[str, Any]:
    """Return the clause that LaunchDarkly demands of the rule of each phase.

    Args:
        unit: The kind of context that is randomized.
    """
    return {"attribute": "kind", "contextKind": unit, "op": "in", "values": [unit], "negate": False}
