"""Experiments that no policy can judge."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.durations import format_duration

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_launchdarkly.decision.policy import Policy

# LaunchDarkly splits people in thousandths of a percent (REST docs, Feature flags: `weight`).
SMALLEST_SHARE = Decimal("0.001")


class UndecidableExperimentError(ValueError):
    """An experiment of this kind has no results on which a verdict could rest. The message gives reason and cure.

    Args:
        message: Reason and cure.
        path: Place of the field in the policy, where the policy is the reason.
    """

    def __init__(self, message: str, *, path: tuple[str | int, ...] = ()) -> None:
        super().__init__(message)
        self.path = path


def require_decidable(experiment_type: str | None, methodology: str | None, *, launchdarkly_results: bool) -> None:
    """Refuse an experiment that no policy can judge.

    LaunchDarkly's ``type`` is ``experiment``, ``mab`` or ``holdout``, its ``methodology`` ``bayesian``, ``frequentist``
    or ``export_only`` (REST docs, Create experiment). A value that LaunchDarkly adds later is accepted.

    Args:
        experiment_type: ``type`` of the experiment; None counts as ``experiment``.
        methodology: ``methodology`` of the experiment; None is LaunchDarkly's default.
        launchdarkly_results: Whether results are read from LaunchDarkly, and not from a warehouse.

    Raises:
        UndecidableExperimentError: It is a multi-armed bandit or a holdout; or it is only exported, and results are
            read from LaunchDarkly.
    """
    if experiment_type == "mab":
        # LaunchDarkly docs, "Multi-armed bandits": the shares follow each arm's probability to be best.
        raise UndecidableExperimentError(
            "is a multi-armed bandit (type mab): it moves traffic by itself, so no error rate can be promised; let it "
            "run, or create it with type experiment"
        )
    if experiment_type == "holdout":
        # LaunchDarkly docs, "Holdouts": it measures the experiments of a program together.
        raise UndecidableExperimentError(
            "is a holdout (type holdout): it measures many changes together and has no treatment to ship; judge the "
            "experiments that it holds out of, and end it with end_holdout"
        )
    if methodology == "export_only" and launchdarkly_results:
        raise UndecidableExperimentError(
            "has methodology export_only: LaunchDarkly computes no results for it; read them from your warehouse with "
            "results=SqlResults(...)"
        )


def require_comparison(shares: Iterable[tuple[str, Decimal, bool]]) -> None:
    """Refuse shares that leave nothing to compare.

    A share below a thousandth of a percent counts as none, since LaunchDarkly rounds it to none.

    Args:
        shares: Each treatment's name, its percentage, and True for the baseline.

    Raises:
        UndecidableExperimentError: The baseline or every new treatment has no share.
    """
    served = tuple((name, share >= SMALLEST_SHARE, baseline) for name, share, baseline in shares)
    for name, has_share, baseline in served:
        if baseline and not has_share:
            raise UndecidableExperimentError(
                f"the baseline {name!r} has no share, so everyone is served something new and nothing is judged: leave "
                "the baseline a share, such as 50. Stopping with the winner is what serves everyone"
            )
    new = [(name, has_share) for name, has_share, baseline in served if not baseline]
    if new and not any(has_share for _, has_share in new):
        names = ", ".join(repr(name) for name, _ in new)
        raise UndecidableExperimentError(
            f"{names} {'has' if len(new) == 1 else 'have'} no share, so nothing new is compared with the baseline: "
            f"give a new treatment at least {SMALLEST_SHARE} %, such as 50. Stopping with the baseline as the winner "
            "is what serves it to everyone"
        )


def require_mean(key: str, analysis_type: str | None, percentile: int | None = None) -> None:
    """Refuse a metric that LaunchDarkly analyses by a percentile.

    LaunchDarkly's ``analysisType`` of a metric is ``mean`` or ``percentile`` (REST docs, Metrics). The results of a
    percentile have no mean and no deviation per unit, so nothing in them can be compared as a mean.

    Args:
        key: Key of the metric.
        analysis_type: Its ``analysisType``; None or a value that LaunchDarkly adds later is accepted.
        percentile: Its ``percentileValue``, if it is known.

    Raises:
        UndecidableExperimentError: It is analysed by a percentile.
    """
    if analysis_type == "percentile":
        which = "a percentile" if percentile is None else f"percentile {percentile}"
        raise UndecidableExperimentError(
            f"metric {key!r} is analysed by {which} (analysisType percentile), and a policy compares means: judge a "
            "metric whose analysis type is mean, such as the share of requests beyond a limit, or read its numbers "
            "from your warehouse with results=SqlResults(...)"
        )


def require_source_of_mature_units(policy: Policy, *, native: bool = False) -> None:
    """Refuse a policy that leaves young or early units out, where results are LaunchDarkly's, which cannot.

    Args:
        policy: The policy.
        native: True if results are the sums that LaunchDarkly leaves in the user's warehouse.

    Raises:
        UndecidableExperimentError: The policy has a `maturity` or a `burn_in`. Its attribute `path` names the field.
    """
    source = "LaunchDarkly's sums in the warehouse" if native else "LaunchDarkly's results"
    for field, units in (("maturity", "young"), ("burn_in", "the first")):
        if getattr(policy, field):
            raise UndecidableExperimentError(
                f"{format_duration(getattr(policy, field))} cannot be kept: {source} cannot leave {units} units out. "
                "Compute results in your warehouse with results=DataExportResults(...) or SqlResults(...), give the "
                "metric a measurement window in LaunchDarkly, or remove it",
                path=(field,),
            )


def require_one_role(policy: Policy, primary: str | None) -> None:
    """Refuse a policy that names the metric that decides again, as another primary metric, a guardrail or a signal.

    Args:
        policy: The policy.
        primary: Key of the experiment's own primary metric or funnel; the policy's replaces it.

    Raises:
        UndecidableExperimentError: A guardrail or a signal is the metric that decides. Its attribute `path` is the
            field's place in the policy.
    """
    decides = policy.primary.metric or primary
    for field, words in (
        ("other_primaries", "other primary metrics"),
        ("guardrails", "guardrails"),
        ("signals", "signals"),
    ):
        for number, entry in enumerate(getattr(policy, field)):
            if entry.metric == decides:
                raise UndecidableExperimentError(
                    f"metric {decides!r} decides the experiment, so it cannot be one of the {words} too: remove it "
                    "here. Harm to the primary metric rolls back without a guardrail",
                    path=(field, number, "metric"),
                )
