"""Holdouts, layers, and the instructions of their patches, said in both clients' words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from airflow_provider_launchdarkly.api.models import instructions as do
from contract.pairs.pair import ENVIRONMENT, PRODUCTION, PROJECT, Pair

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.request import Request

POST = m.HoldoutPost(
    key="q1",
    name="Q1",
    description="d",
    randomization_unit="user",
    attributes=("country",),
    holdout_amount="10",
    primary_metric_key="sales",
    metrics=(m.MetricInput(key="sales"),),
    prerequisite_flag_key="holdout-flag",
    maintainer_id="ada",
)
BODY = {
    "key": "q1",
    "name": "Q1",
    "description": "d",
    "randomizationunit": "user",
    "attributes": ["country"],
    "holdoutamount": "10",
    "primarymetrickey": "sales",
    "metrics": [{"key": "sales", "isGroup": False}],
    "prerequisiteflagkey": "holdout-flag",
    "maintainerId": "ada",
}
HOLDOUT, LAYER = {**ENVIRONMENT, "holdout_key": "q1"}, {**PROJECT, "layer_key": "checkout"}
HOLDOUT_STEPS: list[Any] = [do.EndHoldout(), do.RemoveExperimentFromHoldout(value="cta"), do.UpdateName(value="Q2")]
HOLDOUT_JSON = [
    {"kind": "endHoldout"},
    {"kind": "removeExperiment", "value": "cta"},
    {"kind": "updateName", "value": "Q2"},
]
LAYER_STEPS: list[Any] = [
    do.UpdateExperimentReservation(experiment_key="cta", reservation_percent=40),
    do.RemoveExperimentFromLayer(experiment_key="old"),
    do.UpdateLayerName(name="Checkout 2"),
    do.UpdateLayerDescription(description="d"),
]
LAYER_JSON = [
    {"kind": "updateExperimentReservation", "experimentKey": "cta", "reservationPercent": 40},
    {"kind": "removeExperiment", "experimentKey": "old"},
    {"kind": "updateName", "name": "Checkout 2"},
    {"kind": "updateDescription", "description": "d"},
]


def holdouts(request: Request[Any], method: str, **arguments: Any) -> Pair:
    return Pair(request, "holdouts", method, arguments, beta=True)


HOLDOUTS_AND_LAYERS = {
    "list holdouts": holdouts(
        endpoints.list_holdouts(PRODUCTION, limit=5, offset=10),
        "get_all_holdouts",
        **ENVIRONMENT,
        limit=5,
        offset=10,
    ),
    "get a holdout": holdouts(
        endpoints.get_holdout(PRODUCTION, "q1", expand=("treatments", "rel-treatments")),
        "get_holdout",
        **HOLDOUT,
        expand="treatments,rel-treatments",
    ),
    "get a holdout by id": holdouts(
        endpoints.get_holdout_by_id(PRODUCTION, "id-1"), "get_holdout_by_id", **ENVIRONMENT, holdout_id="id-1"
    ),
    "create a holdout": holdouts(
        endpoints.create_holdout(PRODUCTION, POST), "post_holdout", **ENVIRONMENT, holdout_post_request=BODY
    ),
    "patch a holdout": holdouts(
        endpoints.patch_holdout(PRODUCTION, "q1", HOLDOUT_STEPS, comment="by Airflow"),
        "patch_holdout",
        **HOLDOUT,
        holdout_patch_input={"comment": "by Airflow", "instructions": HOLDOUT_JSON},
    ),
    "list layers": Pair(
        endpoints.list_layers("demo", filters="reservations.experimentKey contains cta"),
        "layers",
        "get_layers",
        {**PROJECT, "filter": "reservations.experimentKey contains cta"},
    ),
    "create a layer": Pair(
        endpoints.create_layer("demo", m.LayerPost(key="checkout", name="Checkout", description="d")),
        "layers",
        "create_layer",
        {**PROJECT, "layer_post": {"key": "checkout", "name": "Checkout", "description": "d"}},
    ),
    "patch a layer": Pair(
        endpoints.patch_layer(PRODUCTION, "checkout", LAYER_STEPS, comment="by Airflow"),
        "layers",
        "update_layer",
        {
            **LAYER,
            "layer_patch_input": {
                "environmentKey": "production",
                "comment": "by Airflow",
                "instructions": LAYER_JSON,
            },
        },
    ),
}
