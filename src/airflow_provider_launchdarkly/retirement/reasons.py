"""Reasons against retiring a flag: all at once, each with its cure. Pure.

How long a flag has served the same is read from ``lastModified`` of its configuration in each environment. Any change
moves it, also one that serves nobody anything else, so the age is never too high. LaunchDarkly's audit log would be
more exact; it takes another right of the token, and is kept for a limited time only.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.retirement.served import NOTHING, owner, served, where_served

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_provider_launchdarkly.api.models import FeatureFlag, FlagConfig, Variation
    from airflow_provider_launchdarkly.retirement.use import FlagUse

SERVED_FOR = timedelta(days=30)
"""How long a flag has to have served the same variation, unless told otherwise."""

_DONE = ("launched", "inactive")


class Against(StrEnum):
    """The kinds of reasons against retiring a flag."""

    VARIES = "varies"
    SERVES_NOTHING = "serves_nothing"
    DIFFERS = "differs"
    OTHER_VARIATION = "other_variation"
    TOO_RECENT = "too_recent"
    STATUS = "status"
    EXPERIMENT = "experiment"
    RELEASE = "release"
    APPROVAL_REQUEST = "approval_request"
    APPROVAL_REQUESTS_UNKNOWN = "approval_requests_unknown"
    PREREQUISITE = "prerequisite"
    HOLDOUT = "holdout"
    LAYER = "layer"
    CODE = "code"
    CODE_UNKNOWN = "code_unknown"


class Reason(NamedTuple):
    """One reason against retiring a flag.

    Attributes:
        against: The kind of reason.
        what: What is so, in words.
        cure: What to do about it.
    """

    against: Against
    what: str
    cure: str


@dataclass(frozen=True, slots=True)
class RetirementRule:
    """When a flag may be retired.

    Attributes:
        served_for: How long everyone must have got the same variation.
        environments: Environments in which that must be so; all of the project when empty. What uses the flag counts in
            every environment, since archiving is for all of them.
        require_code_references: Whether a flag stays if LaunchDarkly has no code references to look at.
        require_approval_requests: Whether a flag stays if LaunchDarkly does not show which changes of it await an
            approval.
        variation_id: Id of the variation that everyone has to get; None allows any.
    """

    served_for: timedelta = SERVED_FOR
    environments: tuple[str, ...] = ()
    require_code_references: bool = False
    require_approval_requests: bool = True
    variation_id: str | None = None

    def __post_init__(self) -> None:
        """Reject a duration below zero.

        Raises:
            ConfigurationError: ``served_for`` is below zero.
        """
        if self.served_for < timedelta(0):
            raise ConfigurationError(f"served_for is {self.served_for}: write a duration such as 30d")

    def environments_of(self, project_key: str, flag: FeatureFlag) -> tuple[str, ...]:
        """Return the environments that count.

        Args:
            project_key: The project, for the error.
            flag: The flag, with all its environments.

        Raises:
            ConfigurationError: The project has no such environment.
        """
        known = tuple(flag.environments)
        if unknown := [key for key in self.environments if key not in known]:
            raise ConfigurationError(
                f"environments: project {project_key!r} has no environment {unknown[0]!r}; it has {', '.join(known)}"
            )
        return self.environments or known


def variation_for_everyone(flag: FeatureFlag, environments: tuple[str, ...]) -> Variation | None:
    """Return the one variation that everyone gets in all of these environments; None if there is no such variation."""
    found = {index for key in environments for index in served(flag.environments[key])}
    return flag.variation_at(found.pop()) if len(found) == 1 else None


def old_enough_at(project_key: str, flag: FeatureFlag, rule: RetirementRule) -> datetime | None:
    """Return when everyone will have got the same for long enough; None if waiting alone does not lead there.

    Args:
        project_key: Its project.
        flag: The flag, with all environments of the project.
        rule: When it may be retired.

    Raises:
        ConfigurationError: The rule names an environment that the project does not have.
    """
    environments = rule.environments_of(project_key, flag)
    variation = variation_for_everyone(flag, environments)
    if flag.archived or variation is None or rule.variation_id not in {None, variation.id}:
        return None
    changes = [flag.environments[key].last_modified for key in environments]
    known = [change for change in changes if change is not None]
    return max(known) + rule.served_for if len(known) == len(changes) else None


def reasons_against(use: FlagUse, rule: RetirementRule) -> tuple[Reason, ...]:
    """Return every reason against retiring a flag; none if it may be retired.

    An archived flag is served no more, so only what still runs on it counts.

    Raises:
        ConfigurationError: The rule names an environment that the project does not have.
    """
    environments = rule.environments_of(use.project_key, use.flag)
    if use.flag.archived:
        return tuple(_experiments(use))
    return (
        *_serving(use, environments, rule.variation_id),
        *_ages(use, environments, rule.served_for),
        *_statuses(use, environments),
        *_experiments(use),
        *_things(use),
        *_requests(use, rule),
        *_code(use, rule),
    )


def name_of(variation: Variation | None) -> str:
    """Return a variation's name and value, as a person tells it from others."""
    if variation is None:
        return "the default that the code names"
    return f"{variation.name!r} ({variation.value!r})" if variation.name else repr(variation.value)


def _serving(use: FlagUse, environments: tuple[str, ...], wanted: str | None) -> Iterator[Reason]:
    one: dict[int, list[str]] = {}
    for key in environments:
        config = use.flag.environments[key]
        found = served(config)
        if len(found) > 1:
            yield _varies(use.flag, key, config)
        elif found == {NOTHING} or use.flag.variation_at(next(iter(found))) is None:
            what = f"in {key}, LaunchDarkly serves no variation: the code's own default counts"
            yield Reason(Against.SERVES_NOTHING, what, "set the flag's off variation there, or what its rules serve")
        else:
            one.setdefault(next(iter(found)), []).append(key)
    if len(one) > 1:
        parts = [f"{name_of(use.flag.variation_at(index))} in {', '.join(keys)}" for index, keys in one.items()]
        yield Reason(
            Against.DIFFERS,
            f"environments serve different variations: {'; '.join(parts)}",
            "serve the same everywhere, or name the environments that count (environments)",
        )
    for index in one:
        variation = use.flag.variation_at(index)
        if len(one) == 1 and wanted is not None and variation is not None and variation.id != wanted:
            what = f"everyone gets {name_of(variation)}, not {name_of(use.flag.variation(wanted))} as it was decided"
            yield Reason(Against.OTHER_VARIATION, what, "find out who changed it; if it is to stay, retire it by hand")


def _varies(flag: FeatureFlag, key: str, config: FlagConfig) -> Reason:
    parts = [
        f"{name_of(flag.variation_at(index))} by {' and '.join(places)}"
        for index, places in sorted(where_served(config).items())
    ]
    held = owner(config)
    cure = f"end {held} that runs on it first" if held else "let every rule serve the same, or turn the flag off"
    return Reason(Against.VARIES, f"in {key}, people get different variations: {', '.join(parts)}", cure)


def _ages(use: FlagUse, environments: tuple[str, ...], served_for: timedelta) -> Iterator[Reason]:
    for key in environments:
        since = use.flag.environments[key].last_modified
        if since is None:
            what = f"in {key}, LaunchDarkly does not show when the flag was changed last"
            yield Reason(Against.TOO_RECENT, what, "read the flag again later, or archive it by hand")
        elif since + served_for > use.now:
            yield Reason(
                Against.TOO_RECENT,
                f"in {key}, the flag was changed at {since:%Y-%m-%d %H:%M} UTC, less than "
                f"{format_duration(served_for)} ago",
                f"wait until {since + served_for:%Y-%m-%d %H:%M} UTC, or ask for less (served_for)",
            )


def _statuses(use: FlagUse, environments: tuple[str, ...]) -> Iterator[Reason]:
    cures = {
        "active": "wait until LaunchDarkly calls it launched: a week in which everyone gets the same",
        "new": "wait until it was requested, or for a week",
    }
    for key in environments:
        status = use.statuses.get(key, "")
        if status not in _DONE:
            what = f"in {key}, the flag's status is {status or 'not shown'}, not launched or inactive"
            yield Reason(Against.STATUS, what, cures.get(status, "look at the flag's status in LaunchDarkly"))


def _experiments(use: FlagUse) -> Iterator[Reason]:
    for used in use.experiments:
        for iteration in used.open_iterations(use.flag.key):
            where = f"iteration {iteration.id!r} of experiment {used.experiment.key!r} in {used.environment_key}"
            if iteration.running:
                yield Reason(Against.EXPERIMENT, f"{where} runs on the flag", "stop it, which serves its winner")
            else:
                yield Reason(
                    Against.EXPERIMENT,
                    f"{where} is a draft on the flag",
                    "archive the experiment if nobody means to start it, or start it and see it through",
                )


def _things(use: FlagUse) -> Iterator[Reason]:
    for release in use.releases:
        what = f"release {release.key!r} moves the flag in {release.environment_key}: {release.detail}"
        yield Reason(Against.RELEASE, what, "let the release end, or stop it with a resolution")
    for key, places in use.dependents.items():
        what = f"flag {key!r} has it as a prerequisite in {', '.join(places) or 'some environment'}"
        yield Reason(Against.PREREQUISITE, what, f"remove the prerequisite from flag {key!r}")
    for holdout in use.holdouts:
        what = f"holdout {holdout.key!r} in {holdout.environment_key} uses the flag: {holdout.detail}"
        yield Reason(Against.HOLDOUT, what, "end the holdout, or take the experiment out of it")
    for layer in use.layers:
        what = f"layer {layer.key!r} in {layer.environment_key} uses the flag: {layer.detail}"
        yield Reason(Against.LAYER, what, "take the experiment out of the layer")


def _requests(use: FlagUse, rule: RetirementRule) -> Iterator[Reason]:
    for request in use.requests:
        what = f"approval request {request.key!r} in {request.environment_key} would change the flag: {request.detail}"
        cure = "apply it and see it through, or decline or delete it in LaunchDarkly"
        yield Reason(Against.APPROVAL_REQUEST, what, cure)
    if use.unread_requests and rule.require_approval_requests:
        yield Reason(
            Against.APPROVAL_REQUESTS_UNKNOWN,
            f"LaunchDarkly does not show the flag's approval requests in {', '.join(use.unread_requests)}, so a change "
            "of it may await its approval there",
            "give the token the right to view them, or, if nobody asks for approvals there, do without "
            "(require_approval_requests; --without-approval-requests of the command)",
        )


def _code(use: FlagUse, rule: RetirementRule) -> Iterator[Reason]:
    if use.references is None:
        if rule.require_code_references:
            yield Reason(
                Against.CODE_UNKNOWN,
                "LaunchDarkly shows no code references",
                "let ld-find-code-refs scan the default branch, give the token the right to view code references, or "
                "do without (require_code_references)",
            )
    elif use.references:
        files = list(dict.fromkeys(f"{place.repository}/{place.path}:{place.line}" for place in use.references))
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""
        yield Reason(
            Against.CODE,
            f"code names the flag in {'1 place' if len(files) == 1 else f'{len(files)} places'}: "
            f"{', '.join(files[:3])}{more}",
            "remove it from the code; the mode propose writes the text of the pull request",
        )
