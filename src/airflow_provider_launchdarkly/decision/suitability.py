"""Experiments that no policy can judge."""

from __future__ import annotations


class UndecidableExperimentError(ValueError):
    """An experiment of this kind has no results on which a verdict could rest. The message gives reason and cure."""


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
