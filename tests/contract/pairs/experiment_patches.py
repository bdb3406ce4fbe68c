"""The instructions of an experiment's patch, said in both clients' words."""

from __future__ import annotations

from typing import Any

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api import models as m
from airflow_provider_launchdarkly.api.models import instructions as do
from contract.pairs.pair import EXPERIMENT, PRODUCTION, Pair

FIELDS = {
    "name": m.FieldChange(operation="update", value="CTA 2"),
    "tags": m.FieldChange(operation="add", value=["c"]),
    "attributes": m.FieldChange(operation="remove", value=["plan"]),
}
FIELDS_JSON = {
    "name": {"operation": "update", "value": "CTA 2"},
    "tags": {"operation": "add", "value": ["c"]},
    "attributes": {"operation": "remove", "value": ["plan"]},
}
SAID: list[tuple[do.ExperimentInstruction, dict[str, Any]]] = [
    (do.UpdateName(value="n"), {"kind": "updateName", "value": "n"}),
    (do.UpdateDescription(value="d"), {"kind": "updateDescription", "value": "d"}),
    (do.StartIteration(), {"kind": "startIteration"}),
    (
        do.StartIteration(change_justification="why"),
        {"kind": "startIteration", "changeJustification": "why"},
    ),
    (
        do.StopIterationWithWinner(winning_treatment_id="t", winning_reason="r"),
        {"kind": "stopIteration", "winningTreatmentId": "t", "winningReason": "r"},
    ),
    (do.ArchiveExperiment(), {"kind": "archiveExperiment"}),
    (do.RestoreExperiment(), {"kind": "restoreExperiment"}),
    (do.UpdateExperimentFields(value=FIELDS), {"kind": "updateExperimentFields", "value": FIELDS_JSON}),
    (
        do.SaveAndStartNewIteration(change_justification="why", value=FIELDS),
        {"kind": "saveAndStartNewIteration", "changeJustification": "why", "value": FIELDS_JSON},
    ),
]
PATCHES = {f"patch an experiment: {json['kind']} ({len(json)})": ([ours], [json]) for ours, json in SAID}
PATCHES["patch an experiment: several at once"] = [ours for ours, _ in SAID[:3]], [json for _, json in SAID[:3]]
EXPERIMENT_PATCHES = {
    name: Pair(
        endpoints.patch_experiment(PRODUCTION, "cta", ours, comment="by Airflow"),
        "experiments",
        "patch_experiment",
        {**EXPERIMENT, "experiment_patch_input": {"comment": "by Airflow", "instructions": theirs}},
        beta=True,
    )
    for name, (ours, theirs) in PATCHES.items()
}
