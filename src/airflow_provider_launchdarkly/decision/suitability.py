"""Which experiments can be decided from their results at all."""

from __future__ import annotations


class UndecidableExperimentError(ValueError):
    """This kind of experiment gives no results on which a verdict could rest. The message says why."""


def require_decidable(experiment_type: str | None, methodology: str | None) -> None:
    """Refuse the experiments that no policy can judge.

    Args:
        experiment_type: ``type`` of the experiment; None counts as ``experiment``.
        methodology: ``methodology`` of the experiment; None counts as ``bayesian``.

    Raises:
        UndecidableExperimentError: It is a multi-armed bandit, a holdout or export-only.
    """
    if experiment_type == "mab":
        # LaunchDarkly docs, "Multi-armed bandits": the shares follow each arm's probability to be best.
        raise UndecidableExperimentError(
            "a multi-armed bandit moves traffic to whoever leads, so units and effects are not independent and no "
            "error rate can be promised; it decides by itself"
        )
    if experiment_type == "holdout":
        raise UndecidableExperimentError("a holdout measures many changes together and has no winner to ship")
    if methodology == "export_only":
        raise UndecidableExperimentError(
            "an export_only experiment has no results in LaunchDarkly; read them from your warehouse by SQL"
        )
