"""Metrics and metric groups, said in both clients' words."""

from __future__ import annotations

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from contract.pairs.pair import NEW, OLD, PROJECT, Pair

POST = m.MetricPost(
    key="sales",
    name="Sales",
    kind="custom",
    is_numeric=True,
    success_criteria=m.SuccessCriteria.HIGHER,
    unit="USD",
    event_key="sale",
    unit_aggregation_type="sum",
    analysis_type="mean",
    event_default=m.EventDefaultInput(disabled=False, value=0.5),
    tags=("a",),
)
BODY = {
    "key": "sales",
    "name": "Sales",
    "kind": "custom",
    "isNumeric": True,
    "successCriteria": "HigherThanBaseline",
    "unit": "USD",
    "eventKey": "sale",
    "unitAggregationType": "sum",
    "analysisType": "mean",
    "eventDefault": {"disabled": False, "value": 0.5},
    "tags": ["a"],
}
GROUP = m.MetricGroupPost(
    key="funnel",
    name="Funnel",
    kind="funnel",
    maintainer_id="ada",
    tags=("a",),
    metrics=(m.MetricInGroupInput(key="seen", name_in_group="Seen"),),
)
GROUP_BODY = {
    "key": "funnel",
    "name": "Funnel",
    "kind": "funnel",
    "maintainerId": "ada",
    "tags": ["a"],
    "metrics": [{"key": "seen", "nameInGroup": "Seen"}],
}
OPERATIONS = [m.PatchOperation(op="replace", path="/tags", value=["b"]), m.PatchOperation(op="remove", path="/unit")]
OPERATIONS_BODY = [{"op": "replace", "path": "/tags", "value": ["b"]}, {"op": "remove", "path": "/unit"}]
PATCH_ARGUMENTS = {"json_patch": OLD, "patch_operation": NEW}
METRIC, ONE_GROUP = {**PROJECT, "metric_key": "sales"}, {**PROJECT, "metric_group_key": "funnel"}
METRICS = {
    "get a metric": Pair(endpoints.get_metric("demo", "sales"), "metrics", "get_metric", METRIC),
    "get a version of a metric": Pair(
        endpoints.get_metric("demo", "sales", version_id="v", expand=("experiments", "metricGroups")),
        "metrics",
        "get_metric",
        {**METRIC, "version_id": "v", "expand": "experiments,metricGroups"},
    ),
    "list metrics": Pair(
        endpoints.list_metrics("demo", filters='query equals "sales"', sort="-name", limit=50, offset=50),
        "metrics",
        "get_metrics",
        {**PROJECT, "filter": 'query equals "sales"', "sort": "-name", "limit": 50, "offset": 50},
        versions=NEW,
    ),
    "create a metric": Pair(
        endpoints.create_metric("demo", POST), "metrics", "post_metric", {**PROJECT, "metric_post": BODY}
    ),
    **{
        f"patch a metric with a client that calls it {argument}": Pair(
            endpoints.patch_metric("demo", "sales", OPERATIONS),
            "metrics",
            "patch_metric",
            {**METRIC, argument: OPERATIONS_BODY},
            versions=versions,
        )
        for argument, versions in PATCH_ARGUMENTS.items()
    },
    "delete a metric": Pair(endpoints.delete_metric("demo", "sales"), "metrics", "delete_metric", METRIC),
    **{
        f"patch a metric group with a client that calls it {argument}": Pair(
            endpoints.patch_metric_group("demo", "funnel", OPERATIONS),
            "metrics_beta",
            "patch_metric_group",
            {**ONE_GROUP, argument: OPERATIONS_BODY},
            beta=True,
            versions=versions,
        )
        for argument, versions in PATCH_ARGUMENTS.items()
    },
    "delete a metric group": Pair(
        endpoints.delete_metric_group("demo", "funnel"), "metrics_beta", "delete_metric_group", ONE_GROUP, beta=True
    ),
    "get a metric group": Pair(
        endpoints.get_metric_group("demo", "funnel", expand=("experiments",)),
        "metrics_beta",
        "get_metric_group",
        {**ONE_GROUP, "expand": "experiments"},
        beta=True,
    ),
    "list metric groups": Pair(
        endpoints.list_metric_groups("demo", filters="experimentStatus equals 'running'", limit=50),
        "metrics_beta",
        "get_metric_groups",
        {**PROJECT, "filter": "experimentStatus equals 'running'", "limit": 50},
        beta=True,
        versions=NEW,
    ),
    "create a metric group": Pair(
        endpoints.create_metric_group("demo", GROUP),
        "metrics_beta",
        "create_metric_group",
        {**PROJECT, "metric_group_post": GROUP_BODY},
        beta=True,
    ),
}
