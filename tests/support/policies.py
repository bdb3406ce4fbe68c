"""Policies of every kind, drawn by hypothesis as the plain JSON that people write."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

PRIMARY = "checkout-conversion"
GUARDRAILS = ("page-load-ms", "errors")
SIGNALS = ("revenue", "visits")
OTHER_PRIMARIES = ("basket-value", "sign-ups")

MOSTLY = st.sampled_from((True, True, False))
DIRECTIONS = st.sampled_from(("higher", "lower"))
# Few error rates and shapes: each pair of them is a boundary to solve.
ERROR_RATES = st.sampled_from((0.01, 0.05, 0.2, 0.4))
SPENDINGS = st.sampled_from((-4.0, -2.4, -0.2, 1.0))
TWO_RELEASES = [{"flag": "search", "release": "r1"}, {"flag": "cart"}]
RELEASES = st.sampled_from(([], [], [{"flag": "search"}], TWO_RELEASES))
CRONS = ("0 9 * * *", "30 2 * * mon,thu", "@weekly", "0 12 */3 * fri")
ZONES = ("UTC", "Europe/Berlin", "America/New_York")


@st.composite
def primaries(draw: st.DrawFn, metric: str = PRIMARY, *, margin: bool = True) -> dict[str, Any]:
    """Draw a primary metric, with a margin at times."""
    primary: dict[str, Any] = {"metric": metric, "direction": draw(DIRECTIONS), "test_split": draw(MOSTLY)}
    if margin and draw(st.booleans()):
        primary |= {"test": "non_inferiority", "margin": draw(st.sampled_from((0.02, 0.1, 0.3)))}
    return primary


@st.composite
def guardrails(draw: st.DrawFn, metric: str) -> dict[str, Any]:
    """Draw a guardrail: against harm, or to be proven."""
    margin = draw(st.sampled_from((0.0, 0.05, 0.3)))
    prove = margin > 0 and draw(st.booleans())
    flags = {"prove": prove, "needs_events": draw(MOSTLY), "test_split": draw(MOSTLY)}
    return {"metric": metric, "direction": draw(DIRECTIONS), "margin": margin, **flags}


@st.composite
def signals(draw: st.DrawFn, metric: str) -> dict[str, Any]:
    """Draw a signal."""
    flags = {"required": draw(MOSTLY), "test_split": draw(MOSTLY)}
    return {"metric": metric, "direction": draw(DIRECTIONS), "alpha": draw(ERROR_RATES), **flags}


@st.composite
def looks(draw: st.DrawFn, days: int) -> Any:
    """Draw looks for a plan of so many days: by a spacing, a cron expression, a list of times, or one at the end."""
    kind = draw(st.sampled_from(("every", "cron", "times", "only_at_end")))
    match kind:
        case "every":
            return f"{draw(st.integers(1, 8)) * 12}h"
        case "cron":
            return {"cron": draw(st.sampled_from(CRONS)), "timezone": draw(st.sampled_from(ZONES))}
        case "times":
            times = draw(st.sets(st.integers(1, days), min_size=1, max_size=5))
            return {"times": [f"{day}d" for day in sorted(times)]}
        case _:
            return {"only_at_end": True}


@st.composite
def policies(draw: st.DrawFn) -> dict[str, Any]:
    """Draw a policy as plain JSON."""
    days = draw(st.integers(1, 14))
    rule = draw(st.sampled_from(("group_sequential", "group_sequential", "probability_to_be_best")))
    guarded = draw(st.sampled_from((0, 0, 1, 2)))
    releases = draw(RELEASES)
    harm_may_be_judged = rule == "group_sequential" or guarded > 0 or bool(releases)
    policy: dict[str, Any] = {
        "rule": rule,
        "primary": draw(primaries(margin=rule == "group_sequential")),
        "guardrails": [draw(guardrails(metric)) for metric in GUARDRAILS[:guarded]],
        "release_guardrails": releases,
        "signals": [draw(signals(metric)) for metric in SIGNALS[: draw(st.sampled_from((0, 0, 1, 2)))]],
        "alpha": draw(ERROR_RATES),
        "alpha_harm": draw(ERROR_RATES),
        "ship_spending": draw(SPENDINGS),
        "harm_spending": draw(SPENDINGS),
        "threshold": draw(st.sampled_from((0.6, 0.8, 0.95))),
        "looks": draw(looks(days)),
        "harm_looks": draw(st.sampled_from((None, "15m", "6h"))) if harm_may_be_judged else None,
        "min_duration": f"{draw(st.sampled_from((0, 0, days // 2, days)))}d",
        "max_duration": f"{days}d",
        "on_repeat": draw(st.sampled_from(("accept", "accept", "divide"))),
        "min_units_per_treatment": draw(st.sampled_from((2, 2, 100, 400))),
        "burn_in": f"{draw(st.sampled_from((0, 0, 0, 6)))}h",
        "maturity": f"{draw(st.sampled_from((0, 0, 0, 12)))}h",
        "planned_units": draw(st.sampled_from((None, None, 200, 1500))),
        "mismatch": {
            "alpha": draw(st.sampled_from((0.001, 0.1))),
            "action": draw(st.sampled_from(("stop", "hold", "warn"))),
        },
        "missing": {
            "grace": f"{draw(st.integers(0, 3))}d",
            "action": draw(st.sampled_from(("hold", "invalid"))),
        },
    }
    others = OTHER_PRIMARIES[: draw(st.sampled_from((0, 0, 1, 2)))] if rule == "group_sequential" else ()
    if others:
        policy["other_primaries"] = [draw(primaries(metric)) for metric in others]
        policy["ship_if"] = draw(st.sampled_from(("any", "all")))
    if draw(st.booleans()):
        policy["traffic"] = {"units_per_day": 300.0, "mean": 0.2}
        if policy["primary"].get("test") is None:
            policy["primary"]["minimum_detectable_effect"] = draw(st.sampled_from((0.05, 0.5, 2.0)))
    futilities = [None, {}, {"predictive_power": 0.01}, {"predictive_power": 0.3}]
    if {"margin", "minimum_detectable_effect"} & set(policy["primary"]):
        futilities += [{"conditional_power": 0.1}, {"conditional_power": 0.4}]
    futility = draw(st.sampled_from(futilities))
    return policy if futility is None else {**policy, "futility": futility or "off"}
