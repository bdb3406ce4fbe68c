"""Retire a flag: archive its experiments and the flag, or only propose it. A pure procedure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from airflow_provider_launchdarkly.api.endpoints.flags import get_flag
from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.writes.flags import archive_flag
from airflow_provider_launchdarkly.api.writes.update import archive_experiment
from airflow_provider_launchdarkly.retirement.card import objections, proposal
from airflow_provider_launchdarkly.retirement.reasons import (
    Against,
    Reason,
    RetirementRule,
    reasons_against,
    variation_for_everyone,
)
from airflow_provider_launchdarkly.retirement.use import read_flag_use

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import FeatureFlag, Variation
    from airflow_provider_launchdarkly.retirement.use import FlagUse

Mode = Literal["archive", "propose"]
Outcome = Literal["archived", "proposed", "kept"]


@dataclass(frozen=True, slots=True)
class Retirement:
    """The outcome of retiring a flag.

    Attributes:
        outcome: ``archived``, ``proposed``, or ``kept`` for the reasons.
        use: What was read of the flag.
        environments: The environments in which everyone had to get the same.
        variation: The variation that everyone gets there; None if there is no such variation.
        reasons: All that speaks against it; empty unless it is kept.
        card: A text for people: the proposal, or the reasons with their cures.
        changed: Whether this call archived anything.
    """

    outcome: Outcome
    use: FlagUse
    environments: tuple[str, ...]
    variation: Variation | None
    reasons: tuple[Reason, ...]
    card: str
    changed: bool = False

    @property
    def experiments(self) -> tuple[tuple[str, str], ...]:
        """Environment and key of every experiment on the flag."""
        return tuple((used.environment_key, used.experiment.key) for used in self.use.experiments)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON: the operator's output, and what the command prints."""
        variation = self.variation
        return {
            "project_key": self.use.project_key,
            "flag_key": self.use.flag.key,
            "outcome": self.outcome,
            "environments": list(self.environments),
            "variation": {"id": variation.id, "name": variation.name, "value": variation.value} if variation else None,
            "experiments": [{"environment_key": env, "experiment_key": key} for env, key in self.experiments],
            "references": None if self.use.references is None else [ref._asdict() for ref in self.use.references],
            "reasons": [
                {"against": str(reason.against), "what": reason.what, "cure": reason.cure} for reason in self.reasons
            ],
            "card": self.card,
            "changed": self.changed,
        }


def retire_flag(
    project_key: str,
    flag_key: str,
    rule: RetirementRule,
    *,
    mode: Mode = "archive",
    dry_run: bool = False,
    comment: str | None = None,
) -> Procedure[Retirement]:
    """Archive a flag and its experiments if nothing speaks against it, or propose to.

    Safe to repeat, also after a kill anywhere: experiments are archived first and the flag last, what is archived is
    left alone, and everything is judged anew before the first write. An archived flag is done, except that experiments
    on it which are not archived yet are archived too.

    Args:
        project_key: The project.
        flag_key: The flag.
        rule: When it may be retired.
        mode: ``archive`` does it. ``propose`` writes nothing, and code that names the flag is no reason against it: the
            card says where that is, and what to leave there.
        dry_run: Judge as for the mode, and write nothing.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: The rule names an environment that the project does not have.
        ConflictError: Another flag has made this one its prerequisite since it was judged.
        StateError: The flag was changed, or an experiment on it was started, since it was judged.
        NotFoundError: There is no such flag.
        LaunchDarklyError: As the calls raise.
    """
    use = yield from read_flag_use(project_key, flag_key)
    environments, found = rule.environments_of(use.project_key, use.flag), reasons_against(use, rule)
    reasons = tuple(reason for reason in found if mode == "archive" or reason.against is not Against.CODE)
    variation = variation_for_everyone(use.flag, environments)
    if reasons:
        return Retirement("kept", use, environments, variation, reasons, objections(flag_key, reasons))
    card = proposal(use, variation, environments) if variation else f"# Flag `{flag_key}` is archived\n"
    if mode == "propose":
        return Retirement("proposed", use, environments, variation, (), card)
    changed = False
    if not dry_run:
        for used in use.experiments:
            env = EnvironmentRef(project_key, used.environment_key)
            changed |= (yield from archive_experiment(env, used.experiment.key, comment=comment)).changed
        yield from _unchanged(use)
        changed |= (yield from archive_flag(project_key, flag_key, comment=comment)).changed
    return Retirement("archived", use, environments, variation, (), card, changed)


def _unchanged(use: FlagUse) -> Procedure[None]:
    """Read the flag once more, since archiving takes no precondition: what was judged must be what is archived.

    Raises:
        StateError: Somebody has changed the flag since it was judged.
    """
    flag: FeatureFlag = (yield get_flag(use.project_key, use.flag.key, environments=use.flag.environments)).value
    if not flag.archived and (flag.version, _versions(flag)) != (use.flag.version, _versions(use.flag)):
        raise StateError(
            f"flag {flag.key!r} was changed while it was being retired: find out by whom, and retire it again, so that "
            "it is judged as it is now"
        )


def _versions(flag: FeatureFlag) -> dict[str, int | None]:
    return {key: config.version for key, config in flag.environments.items()}
