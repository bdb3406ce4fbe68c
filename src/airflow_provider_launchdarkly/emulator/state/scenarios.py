"""The default world as plain data, and the scenarios, which vary what is true of its people."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECKOUT_TRUTH: dict[str, Any] = {
    "people_per_day": 2_000,
    "metrics": {
        "checkout-conversion": {"baseline_rate": 0.10},
        "page-load-ms": {"baseline_mean": 820, "standard_deviation": 240},
        "revenue-per-user": {"baseline_mean": 42, "standard_deviation": 18, "event_share": 0.10},
        "checkout-errors": {"baseline_rate": 0.02},
        "signup-form-opened": {"baseline_rate": 0.30},
        "signup-form-sent": {"baseline_rate": 0.60, "after": "signup-form-opened"},
        "signup-confirmed": {"baseline_rate": 0.80, "after": "signup-form-sent"},
    },
}

_WORLD: dict[str, Any] = {
    "members": {
        "ada@example.com": {"first_name": "Ada", "last_name": "Example", "role": "owner"},
        "grace@example.com": {"first_name": "Grace", "last_name": "Example", "role": "writer"},
    },
    "teams": ["growth"],
    "tokens": {
        "api-reader": {"name": "may only read", "role": "reader"},
        "api-service": {"name": "a service token, which has no member", "service": True},
        "api-outsider": {"name": "has access to no project", "projects": []},
    },
    "projects": {
        "demo": {
            "name": "Demo",
            "randomization_units": ["user", "organization"],
            "context_kinds": ["device", "request"],
            "environments": {
                "production": {
                    "name": "Production",
                    "critical": True,
                    "sdk_key": "sdk-emulator-production",
                    "mobile_key": "mob-emulator-production",
                },
                "test": {"name": "Test", "sdk_key": "sdk-emulator-test", "mobile_key": "mob-emulator-test"},
            },
            "flags": {
                "checkout-button": {
                    "name": "Checkout button",
                    "description": "How the button that starts the checkout looks",
                    "variations": [{"value": "classic", "name": "Classic"}, {"value": "bold", "name": "Bold"}],
                },
                "search-ranking": {
                    "name": "Search ranking",
                    "description": "How search results are ordered",
                    "variations": [
                        {"value": "keyword", "name": "Keyword"},
                        {"value": "semantic", "name": "Semantic"},
                        {"value": "hybrid", "name": "Hybrid"},
                    ],
                    "on_in": ["production", "test"],
                },
                "pricing-page": {
                    "name": "Pricing page",
                    "description": "Whether the new pricing page is shown",
                    "variations": [{"value": False, "name": "Present"}, {"value": True, "name": "New"}],
                    "rules": {
                        "German visitors": {
                            "variation": "Present",
                            "clauses": [
                                {
                                    "contextKind": "user",
                                    "attribute": "country",
                                    "op": "in",
                                    "negate": False,
                                    "values": ["DE"],
                                }
                            ],
                        }
                    },
                },
            },
            "metrics": {
                "checkout-conversion": {"name": "Checkout conversion"},
                "page-load-ms": {"name": "Page load", "numeric": True, "better": "lower", "unit": "ms"},
                "revenue-per-user": {
                    "name": "Revenue per user",
                    "numeric": True,
                    "unit": "USD",
                    "unit_aggregation": "sum",
                },
                "checkout-errors": {"name": "Checkout errors", "better": "lower"},
                "search-click-through": {"name": "Search click-through"},
                "signup-form-opened": {"name": "Sign-up form opened"},
                "signup-form-sent": {"name": "Sign-up form sent"},
                "signup-confirmed": {"name": "Sign-up confirmed"},
            },
            "metric_groups": {
                "signup-funnel": {
                    "name": "Sign-up funnel",
                    "kind": "funnel",
                    "metrics": {
                        "signup-form-opened": {"name_in_group": "Form opened"},
                        "signup-form-sent": {"name_in_group": "Form sent"},
                        "signup-confirmed": {"name_in_group": "Confirmed"},
                    },
                },
                "page-health": {"name": "Page health", "metrics": {"page-load-ms": {}, "checkout-errors": {}}},
            },
            "truths": {
                "checkout-button": _CHECKOUT_TRUTH,
                "search-ranking": {
                    "people_per_day": 6_000,
                    "metrics": {
                        "search-click-through": {
                            "baseline_rate": 0.35,
                            "effects": {"Semantic": {"relative": 0.01}, "Hybrid": {"relative": 0.05}},
                        },
                        "page-load-ms": {
                            "baseline_mean": 610,
                            "standard_deviation": 190,
                            "effects": {"Semantic": {"relative": 0.06}},
                        },
                    },
                },
                "pricing-page": {
                    "people_per_day": 800,
                    "metrics": {
                        "signup-form-opened": {"baseline_rate": 0.25, "effects": {"New": {"relative": 0.08}}},
                        "signup-form-sent": {"baseline_rate": 0.55, "after": "signup-form-opened"},
                        "signup-confirmed": {"baseline_rate": 0.80, "after": "signup-form-sent"},
                    },
                },
            },
        }
    },
}


def _effect(truth: dict[str, Any]) -> None:
    truth["metrics"]["checkout-conversion"]["effects"] = {"Bold": {"relative": 0.10}}


def _harm(truth: dict[str, Any]) -> None:
    truth["metrics"]["checkout-conversion"]["effects"] = {"Bold": {"relative": -0.30}}


def _no_effect(_truth: dict[str, Any]) -> None:
    """Leave Bold as good as Classic."""


def _broken_split(truth: dict[str, Any]) -> None:
    _effect(truth)
    truth["split"] = {"Classic": 0.53, "Bold": 0.47}


def _no_traffic(truth: dict[str, Any]) -> None:
    truth["people_per_day"] = 0


SCENARIOS: dict[str, Callable[[dict[str, Any]], None]] = {
    "effect": _effect,
    "no-effect": _no_effect,
    "broken-split": _broken_split,
    "no-traffic": _no_traffic,
    "harm": _harm,
}
"""The truth about the flag `checkout-button`, in this order: Bold lifts checkout conversion by 10 %; it has no effect;
the arms get other shares of the people than requested; no people arrive; Bold lowers checkout conversion by 30 %."""


def scenario_data(name: str) -> dict[str, Any]:
    """Return the default world's data in a scenario.

    Raises:
        ValueError: The scenario is unknown.
    """
    change = SCENARIOS.get(name)
    if change is None:
        raise ValueError(f"no such scenario: {name!r}; there are {', '.join(SCENARIOS)}")
    data = deepcopy(_WORLD)
    change(data["projects"]["demo"]["truths"]["checkout-button"])
    return data
