"""The experiment that the contract tests run, as LaunchDarkly's clients take it, and the steps to get it somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.official import SEMANTIC_PATCH

if TYPE_CHECKING:
    from contract.official import Answer, OfficialClient

PROJECT = "demo"
ENVIRONMENT = "production"
FLAG = "checkout-button"
METRIC = "checkout-conversion"
FUNNEL = "signup-funnel"
KEY = "checkout-button-bold"
IN_PROJECT = {"project_key": PROJECT}
IN_ENVIRONMENT = {"project_key": PROJECT, "environment_key": ENVIRONMENT}
HERE = {**IN_ENVIRONMENT, "experiment_key": KEY}
ITS_FLAG = {"project_key": PROJECT, "feature_flag_key": FLAG}
ALL_EXPANDS = "previousIterations,draftIteration,secondaryMetrics,treatments"
EVERYTHING = f"{ALL_EXPANDS},analysisConfig,mutableFieldsByStatus"
"""What came later: only the newest client has models for it."""


def iteration_input(flag: Answer, *, hypothesis: str = "A bold button sells more", **more: Any) -> dict[str, Any]:
    """The body that creates an iteration on the flag as it is now: half Classic, half Bold."""
    classic, bold = (variation["_id"] for variation in flag["variations"])
    return {
        "hypothesis": hypothesis,
        "canReshuffleTraffic": True,
        "metrics": [{"key": METRIC, "isGroup": False}, {"key": "page-load-ms"}, {"key": FUNNEL, "isGroup": True}],
        "primarySingleMetricKey": METRIC,
        "treatments": [
            treatment("Classic", classic, baseline=True, percent="50"),
            treatment("Bold", bold, baseline=False, percent="50"),
        ],
        "flags": {
            FLAG: {
                "ruleId": "fallthrough",
                "flagConfigVersion": flag["environments"][ENVIRONMENT]["version"],
                "notInExperimentVariationId": classic,
            }
        },
        "randomizationUnit": "user",
        "attributes": ["country"],
        **more,
    }


def treatment(name: str, variation_id: str, *, baseline: bool, percent: str) -> dict[str, Any]:
    """One arm."""
    return {
        "name": name,
        "baseline": baseline,
        "allocationPercent": percent,
        "parameters": [{"flagKey": FLAG, "variationId": variation_id}],
    }


def experiment_post(flag: Answer, **more: Any) -> dict[str, Any]:
    """The body that creates the experiment."""
    return {
        "name": "A bold checkout button",
        "description": "Does a bold button sell more?",
        "key": KEY,
        "iteration": iteration_input(flag),
        **more,
    }


def read_flag(client: OfficialClient) -> Answer:
    """The flag as it is."""
    return client.feature_flags.get_feature_flag(**ITS_FLAG)


def turn_flag_on(client: OfficialClient) -> Answer:
    """Serve the flag."""
    return client.feature_flags.patch_feature_flag(
        **ITS_FLAG,
        patch_with_comment={"environmentKey": ENVIRONMENT, "instructions": [{"kind": "turnFlagOn"}]},
        content_type=SEMANTIC_PATCH,
    )


def create(client: OfficialClient, **more: Any) -> Answer:
    """Turn the flag on and create the experiment on it."""
    return client.experiments.create_experiment(
        **IN_ENVIRONMENT, experiment_post=experiment_post(turn_flag_on(client), **more)
    )


def read(client: OfficialClient, expand: str = ALL_EXPANDS) -> Answer:
    """The experiment with all its parts."""
    return client.experiments.get_experiment(**HERE, expand=expand)


def patch(client: OfficialClient, *instructions: dict[str, Any], comment: str = "contract test") -> Answer:
    """Change the experiment."""
    return client.experiments.patch_experiment(
        **HERE,
        experiment_patch_input={"comment": comment, "instructions": list(instructions)},
        content_type=SEMANTIC_PATCH,
    )


def start(client: OfficialClient) -> Answer:
    """Create the experiment and start its iteration."""
    create(client)
    return patch(client, {"kind": "startIteration", "changeJustification": "ready"})


def stop_on(client: OfficialClient, treatment_name: str, reason: str = "it won") -> Answer:
    """Stop the running iteration with the treatment of that name as its winner."""
    return patch(
        client, {"kind": "stopIteration", "winningTreatmentId": id_of(client, treatment_name), "winningReason": reason}
    )


def id_of(client: OfficialClient, treatment_name: str) -> str:
    """The id of a treatment of the current iteration."""
    arms = read(client)["currentIteration"]["treatments"]
    return str(next(arm["_id"] for arm in arms if arm["name"] == treatment_name))
