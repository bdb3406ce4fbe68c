"""The presets: named policies as plain data, each the difference from the default policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.config.defaults import lay_over
from airflow_provider_launchdarkly.config.problems import Flaw, InvalidSettingError, shown
from airflow_provider_launchdarkly.decision.policy_parts import DAILY, ON_DATA

if TYPE_CHECKING:
    from collections.abc import Mapping

BALANCED: Final = "balanced"

# `docs/concepts/how-we-decide.md` has the measured error rates of each.
PRESETS: Final[Mapping[str, Mapping[str, Any]]] = {
    # Ships what is better; 5 % one-sided over all looks. This is the default policy.
    BALANCED: {},
    # Ships what is shown to lose no more than 2 %: for a change that has other reasons, such as a rewrite.
    "do_no_harm": {"primary": {"test": "non_inferiority", "margin": 0.02}},
    # The rule of LaunchDarkly's results page for a Bayesian experiment, applied every day: the treatment whose
    # probability to be best exceeds the threshold wins, and the control can win too (LaunchDarkly docs, "Decision
    # making with Bayesian statistics"). A mismatch is a message there, and no minimum of time or units is demanded.
    "launchdarkly": {
        "rule": "probability_to_be_best",
        "threshold": 0.95,
        "min_duration": "0d",
        "min_units_per_treatment": 2,
        "futility": None,
        "mismatch": {"action": "warn"},
    },
    # One look, at the end; the usual two-sided 5 %, of which the half that ships counts.
    "frequentist_fixed": {"alpha": 0.025, "alpha_harm": 0.025, "looks": {"only_at_end": True}},
    # Compares whole weeks, for effects that may differ by weekday; a large harm is found between the looks.
    "weekly": {"looks": {"every": "7d"}, "harm_looks": "6h"},
}

# `looks` replaces the preset's as a whole.
_WHOLE = ("looks",)


def with_preset(value: Mapping[str, Any]) -> dict[str, Any]:
    """Lay the fields of a policy over the preset that it names under ``preset``.

    Args:
        value: A policy as plain JSON, with or without ``preset``.

    Returns:
        The same without ``preset``.

    Raises:
        InvalidSettingError: There is no such preset; the message lists the presets.
    """
    own = dict(value)
    name = own.pop("preset", BALANCED)
    if not isinstance(name, str) or name not in PRESETS:
        message = f"preset {shown(name)} is none of {', '.join(PRESETS)}"
        raise InvalidSettingError(message, flaws=(Flaw(("preset",), message, "preset", name),))
    preset = dict(PRESETS[name])
    if own.get("portfolio") is not None:
        preset.pop("alpha", None)  # the portfolio gives it
    looks = {"on_data": True} if own.get("looks") == ON_DATA else own.get("looks")
    if isinstance(looks, dict) and set(looks) == {"on_data"}:
        own["looks"] = {**preset.get("looks", DAILY), **looks}
    return lay_over(preset, own, whole=_WHOLE)
