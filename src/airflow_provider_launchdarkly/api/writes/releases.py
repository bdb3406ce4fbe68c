"""Start a release once, and stop the pinned one.

LaunchDarkly's start is not idempotent: a repeat is a 409 while the first one is active, and a second release once it
has ended. This start reads the flag's releases first and adopts the one that is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.endpoints import releases as endpoints
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConflictError,
    Difference,
    FieldsNotAppliedError,
    FlagOffError,
    GuardingDeniedError,
    PermissionDeniedError,
    ReleaseActiveError,
    ReleaseEndedError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import SETTLING
from airflow_provider_launchdarkly.api.models import FALLTHROUGH
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.reads.releases import every_release
from airflow_provider_launchdarkly.api.writes.ensure import DesiredState, Written, ensure
from airflow_provider_launchdarkly.api.writes.flags import raise_if_owned
from airflow_provider_launchdarkly.api.writes.left_rules import (
    asked_clauses,
    begun_on_left_rule,
    on_left_rule,
    plain_clauses,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from typing import Any

    from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
    from airflow_provider_launchdarkly.api.failed_call import Call, Refusal
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import (
        EnvironmentRelease,
        FeatureFlag,
        ReleasePost,
        Resolution,
    )

_REMOVES_RULES = "remove_rules_and_update_default_rule"


class ReleaseNeedsApprovalError(ApprovalRequiredError):
    """405: the start of a release needs an approval, for which LaunchDarkly's API takes no request.

    Attributes:
        flag_key: The flag.
        post: The release, which a person has to start in LaunchDarkly.
    """

    def __init__(
        self,
        message: str = "",
        *,
        call: Call | None = None,
        refusal: Refusal | None = None,
        flag_key: str = "",
        post: ReleasePost | None = None,
    ) -> None:
        super().__init__(message, call=call, refusal=refusal)
        self.flag_key = flag_key
        self.post = post


@dataclass(frozen=True, slots=True)
class StartedRelease:
    """A release that is as asked.

    Attributes:
        release: The release, as last read. An adopted one may have ended since.
        adopted: Whether it was there before, so that nothing was written.
    """

    release: EnvironmentRelease
    adopted: bool


@dataclass(frozen=True, slots=True)
class StoppedRelease:
    """A release that ended as asked.

    Attributes:
        release: The release, as last read.
        already_ended: Whether it had ended so before, so that nothing was written.
    """

    release: EnvironmentRelease
    already_ended: bool


@dataclass(frozen=True, slots=True)
class _Situation:
    """A flag with its releases in an environment, newest first."""

    flag: FeatureFlag
    releases: tuple[EnvironmentRelease, ...]


def start_release(
    env: EnvironmentRef,
    flag_key: str,
    post: ReleasePost,
    *,
    since: datetime | None = None,
    by_description: bool = False,
    any_description: bool = False,
    earlier: Callable[[EnvironmentRelease], bool] = lambda _release: False,
    announce: Callable[[], None] = lambda: None,
) -> Procedure[StartedRelease]:
    """Start a release, or adopt the one that is the same.

    Safe to repeat: the flag's releases are read before each write and after a response that leaves the outcome open. A
    release is the same if variations, unit, metrics, phases with their steps and rules, mode and cleanup are those
    asked for; of one from a plan the variations alone can be compared. An active one that is the same is adopted, and
    so is one that ended but is the work of an earlier try: it was created after ``since``, or with ``by_description``
    its first phase has the asked ``description``, or ``earlier`` says so whatever its steps are.

    Where an earlier release has left a rule with the clauses of a new one, the release runs on that rule (see
    :func:`.on_left_rule`).

    Args:
        env: Project and environment.
        flag_key: The flag.
        post: The release.
        since: LaunchDarkly's time (aware) from which on a same release that ended counts as this one.
        by_description: True if no other release has the description of the first phase, so that one that has it counts
            as this one.
        any_description: True if a person may have started it in LaunchDarkly, who gives new rules other descriptions:
            they are not compared.
        earlier: Returns whether a release that ended counts as this one, whatever its steps, metrics and cleanup are.
        announce: Called just before the write; not called if nothing is written.

    Raises:
        ReleaseActiveError: Another release is active on the flag in this environment; the message names it.
        FlagOffError: The flag is off or archived.
        RuleOwnedError: An experiment runs on a rule that the release needs.
        HealthChecksFailedError: LaunchDarkly's health checks fail; the message has each with its cure.
        GuardingDeniedError: LaunchDarkly refuses a guarded release with a 403. Nothing was started.
        ReleaseNeedsApprovalError: The environment demands approvals. A person has to start it in LaunchDarkly.
        FieldsNotAppliedError: LaunchDarkly accepted the start, and the release is not as asked.
        StateError: A rule with the same clauses or the same description is there, and may not be used.
        LaunchDarklyError: As the calls raise.
    """
    before: set[str] | None = None
    sent = post
    compared = without_descriptions(post) if any_description else post

    def read() -> Procedure[_Situation]:
        nonlocal before
        flag = yield from read_flag(env, flag_key)
        known = (yield from every_release(env, flag_key)).items
        if before is None:
            before = {release.id for release in known}
        return _Situation(flag, known)

    def reached(situation: _Situation) -> StartedRelease | None:
        rules = _rules(env, situation.flag)
        for release in situation.releases:
            wrong = release_differences(compared, release, rules)
            if wrong and (release.id not in (before or ()) or _is_since(release, since)):
                left = begun_on_left_rule(env, situation.flag, compared, release, situation.releases)
                wrong = release_differences(left, release, rules)
            if not release.ended and wrong:
                raise _active(env, flag_key, release, wrong)
            begun = not wrong and release.id not in (before or ())
            begun = begun or (release.ended and earlier(release))
            described = by_description and _has_its_description(post, release)
            if begun or (not wrong and (not release.ended or described or _is_since(release, since))):
                return StartedRelease(release, adopted=True)
        check_on(env, situation.flag)
        return None

    def write(situation: _Situation) -> Request[EnvironmentRelease]:
        nonlocal sent
        sent = on_left_rule(env, situation.flag, post, situation.releases)
        announce()
        return endpoints.start_release(env, flag_key, sent)

    def explain(error: LaunchDarklyError, _situation: _Situation) -> Procedure[LaunchDarklyError | None]:
        if not isinstance(error, ConflictError):
            return None
        response = yield endpoints.list_releases(env, flag_key)
        if any(not release.ended for release in response.value.items):
            return None  # this one, or another: the next read tells them apart
        return (yield from _named_conflict(env, flag_key, sent, error))

    def confirmed(situation: _Situation, written: Written[_Situation]) -> StartedRelease | None:
        release = next((known for known in situation.releases if known.id == written.response.id), None)
        if release is None or release_differences(sent, release, _rules(env, situation.flag)):
            return None
        return StartedRelease(release, adopted=False)

    def unconfirmed(situation: _Situation, written: Written[_Situation]) -> LaunchDarklyError:
        release = next((known for known in situation.releases if known.id == written.response.id), None)
        if release is None:
            return UnclearOutcomeError(
                f"LaunchDarkly accepted the start of a release of flag {flag_key!r} in {env}, and does not list it "
                f"after {sum(SETTLING):.0f} s"
            )
        wrong = release_differences(sent, release, _rules(env, situation.flag))
        return FieldsNotAppliedError(
            f"LaunchDarkly started release {release.id!r} of flag {flag_key!r}, and not as asked: "
            f"{'; '.join(map(str, wrong))}. It goes on: stop it in LaunchDarkly, or with stop_release",
            differences=wrong,
        )

    desired = DesiredState(
        what=f"the release of flag {flag_key!r} in {env} has started",
        read=read,
        reached=reached,
        write=write,
        explain=explain,
        confirmed=confirmed,
        unconfirmed=unconfirmed,
        response_is_state=False,
    )
    try:
        ensured = yield from ensure(desired)
    except (ApprovalRequiredError, PermissionDeniedError) as refused:
        better = _named(refused, flag_key, sent)
        if better is None:
            raise
        raise better from refused
    return replace(ensured.value, adopted=not ensured.changed)


def _named_conflict(
    env: EnvironmentRef, flag_key: str, post: ReleasePost, conflict: ConflictError
) -> Procedure[ConflictError]:
    """Return the conflict at a start with what may be its cause; raise a named error if a rule is held."""
    needed = [phase.rule_id for phase in post.phases or () if phase.rule_id is not None]
    if post.cleanup_behavior == _REMOVES_RULES:
        needed.append(FALLTHROUGH)
    better = conflict
    for rule_id in needed:
        better = yield from raise_if_owned(
            env, flag_key, rule_id, conflict, doing=f"flag {flag_key!r} cannot be released"
        )
    return better


def _named(
    refused: ApprovalRequiredError | PermissionDeniedError, flag_key: str, post: ReleasePost
) -> LaunchDarklyError | None:
    """Return the error that says what a refused start can be cured by; None if the refusal says all there is."""
    if isinstance(refused, ApprovalRequiredError):
        return ReleaseNeedsApprovalError(
            str(refused), call=refused.call, refusal=refused.refusal, flag_key=flag_key, post=post
        )
    guarded = bool(post.metrics) or post.release_plan_key is not None
    if refused.operation != endpoints.START or not guarded:
        return None
    return GuardingDeniedError(
        f"{refused}. LaunchDarkly guards releases on select plans only: if yours guards none, leave the metrics out, "
        "which makes the release a progressive one",
        call=refused.call,
        refusal=refused.refusal,
    )


def stop_release(
    env: EnvironmentRef,
    flag_key: str,
    release_id: str,
    resolution: Resolution,
    *,
    comment: str | None = None,
    announce: Callable[[EnvironmentRelease], None] = lambda _release: None,
) -> Procedure[StoppedRelease]:
    """Stop a release: forward to its target, or back to its original.

    Safe to repeat: the release is pinned by its id and read before each write and after it. If it has ended the same
    way, this succeeds without a write; the other way, it fails.

    Args:
        env: Project and environment.
        flag_key: The flag.
        release_id: The release.
        resolution: What its phases serve from then on.
        comment: Text for LaunchDarkly's audit log.
        announce: Called with the release just before the write; not called if nothing is written.

    Raises:
        ReleaseEndedError: It had ended the other way, or ended so meanwhile.
        NotFoundError: There is no such release, or it ended more than 90 days ago.
        ApprovalRequiredError: The environment demands approvals.
        LaunchDarklyError: As the calls raise.
    """
    status = "completed" if resolution.startswith("roll_forward") else "reverted"

    def read() -> Procedure[EnvironmentRelease]:
        response = yield endpoints.get_release(env, flag_key, release_id)
        release: EnvironmentRelease = response.value
        return release

    def reached(release: EnvironmentRelease) -> EnvironmentRelease | None:
        if release.ended and release.status != status:
            raise ReleaseEndedError(
                f"release {release_id!r} of flag {flag_key!r} is {release.status} ({release.status_reason}), and "
                f"{resolution} was to make it {status}: LaunchDarkly changes no release that has ended. Set the flag's "
                "rules instead, or start another release",
                status=release.status,
            )
        return release if release.ended else None

    def write(release: EnvironmentRelease) -> Request[EnvironmentRelease]:
        announce(release)
        return endpoints.stop_release(env, flag_key, release_id, resolution, comment=comment)

    def unconfirmed(release: EnvironmentRelease, _written: Written[EnvironmentRelease]) -> UnclearOutcomeError:
        return UnclearOutcomeError(
            f"LaunchDarkly accepted the stop of release {release_id!r} of flag {flag_key!r}, and shows it as "
            f"{release.status!r} after {sum(SETTLING):.0f} s"
        )

    ensured = yield from ensure(
        DesiredState(
            what=f"release {release_id} is {status}",
            read=read,
            reached=reached,
            write=write,
            confirmed=lambda release, _written: reached(release),
            unconfirmed=unconfirmed,
            response_is_state=False,
        )
    )
    return StoppedRelease(ensured.value, already_ended=not ensured.changed)


def release_differences(
    post: ReleasePost, release: EnvironmentRelease, rules: Mapping[str, list[Any]]
) -> tuple[Difference, ...]:
    """Return what of a release is not as asked.

    Args:
        post: What was asked for.
        release: A release.
        rules: The clauses of the flag's rules, by rule id. A rule that is gone is not compared.
    """
    pairs: list[tuple[str, object, object]] = [
        ("originalVariationId", post.original_variation_id, release.original_variation_id),
        ("targetVariationId", post.target_variation_id, release.target_variation_id),
    ]
    if post.release_plan_key is None:
        phases = post.phases or ()
        pairs += [
            ("randomizationUnit", post.randomization_unit, release.randomization_unit),
            ("cleanupBehavior", post.cleanup_behavior or "leave_rules_in_place", release.cleanup_behavior),
            (
                "metrics",
                {metric.metric_key: metric.auto_rollback for metric in post.metrics or ()},
                {metric.metric_key: metric.auto_rollback for metric in release.metrics},
            ),
            ("phases", len(phases), len(release.phases)),
        ]
        if len(phases) > 1:
            pairs.append(("advancementMode", post.advancement_mode, release.advancement_mode))
        for index, (asked, found) in enumerate(zip(phases, release.phases, strict=False)):
            where = f"phases[{index}]"
            steps = [(step.allocation, step.duration_millis) for step in found.steps]
            pairs.append((f"{where}.steps", [(s.allocation, s.duration_millis) for s in asked.steps], steps))
            if asked.rule_id is not None:
                pairs.append((f"{where}.ruleId", asked.rule_id, found.rule_id))
            if asked.description is not None:
                pairs.append((f"{where}.description", asked.description, found.description))
            if asked.clauses is not None and found.rule_id is not None and found.rule_id in rules:
                pairs.append((f"{where}.clauses", asked_clauses(asked.clauses), rules[found.rule_id]))
    return tuple(Difference(field, asked, found) for field, asked, found in pairs if asked != found)


def same_release(
    env: EnvironmentRef, flag: FeatureFlag, post: ReleasePost, release: EnvironmentRelease, *, since: datetime | None
) -> bool:
    """Return whether a release is the one asked for, but for descriptions: an active one, or one of an earlier try.

    Args:
        env: Project and environment.
        flag: The flag.
        post: What is asked for.
        release: A release.
        since: As for :func:`start_release`.
    """
    if release_differences(without_descriptions(post), release, _rules(env, flag)):
        return False
    return not release.ended or _is_since(release, since)


def without_descriptions(post: ReleasePost) -> ReleasePost:
    """Return what is asked for without the descriptions of its new rules, which change nothing that people get."""
    phases = tuple(phase.model_copy(update={"description": None}) for phase in post.phases or ())
    return post.model_copy(update={"phases": phases or None})


def _has_its_description(post: ReleasePost, release: EnvironmentRelease) -> bool:
    asked = post.phases[0].description if post.phases else None
    return asked is not None and bool(release.phases) and release.phases[0].description == asked


def _is_since(release: EnvironmentRelease, since: datetime | None) -> bool:
    return since is not None and release.created_at is not None and release.created_at >= since


def _rules(env: EnvironmentRef, flag: FeatureFlag) -> dict[str, list[Any]]:
    config = flag.environments[env.environment_key]
    return {rule.id: plain_clauses(rule) for rule in config.rules}


def _active(
    env: EnvironmentRef, flag_key: str, release: EnvironmentRelease, wrong: tuple[Difference, ...]
) -> ReleaseActiveError:
    return ReleaseActiveError(
        f"release {release.id!r} is {release.status} on flag {flag_key!r} in {env}, and is not the one asked for: "
        f"{'; '.join(map(str, wrong))}. A flag has one release at a time in an environment: wait until it ends, or "
        "stop it first",
        release_id=release.id,
        differences=wrong,
    )


def check_on(env: EnvironmentRef, flag: FeatureFlag) -> None:
    """Check that a release can start on a flag.

    Raises:
        FlagOffError: The flag is off or archived.
    """
    config = flag.environments[env.environment_key]
    if flag.archived or config.archived:
        raise FlagOffError(f"flag {flag.key!r} is archived: nothing is released on it")
    if not config.on:
        raise FlagOffError(
            f"flag {flag.key!r} is off in environment {env.environment_key!r}, and LaunchDarkly releases only on a "
            "flag that is on: turn it on first"
        )
