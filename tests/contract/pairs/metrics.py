"""Metrics and metric groups, said in both clients' words."""

from __future__ import annotations

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from contract.pairs.pair import NEW, PROJECT, Pair

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
