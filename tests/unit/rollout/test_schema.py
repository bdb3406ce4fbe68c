"""The schema for editors: the one that is committed is the one that the models make, and it takes what they take."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from airflow_provider_launchdarkly.config.strict_yaml import read_document
from airflow_provider_launchdarkly.rollout.schema import file_schema
from support.surroundings import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "dags_examples" / "rollouts").glob("*.yaml"))


def test_the_committed_schema_is_the_models() -> None:
    committed = REPOSITORY / "docs" / "rollout.schema.json"
    assert json.loads(committed.read_text()) == file_schema(), f"airflow-launchdarkly schema > {committed}"


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_the_examples_are_valid(file: Any) -> None:
    jsonschema.validate(read_document(file.read_text()).value, file_schema())


@pytest.mark.parametrize(
    "rollout",
    [
        "policy: {preset: do_no_harm, looks: 1d}",
        "policy: {looks: {every: 1d}, min_duration: 7d}",
        "experiment: {metrics: [page-load-ms, {key: funnel, is_group: true}]}",
        "change_window: {hours: '09:00-17:00', blackout: ['2026-12-24', 2026-12-24/2027-01-02]}",
        "stages: [{allocation: 10, dwell: 2d}, {allocation: {Bold: 20.5}, gate: decision}]",
        "dag: {schedule: '@weekly', owner: growth}",
    ],
)
def test_short_forms_and_parts_that_defaults_complete_are_valid(rollout: str) -> None:
    jsonschema.validate(read_document(f"rollouts: {{a: {{{rollout}}}}}").value, file_schema())


@pytest.mark.parametrize(
    "rollout",
    [
        "autonomy: free",
        "stage: []",
        "stages: [{allocation: 10, dwel: 2d}]",
        "stages: [{dwell: 2d}]",
        "policy: {preset: mine}",
        "policy: {alpha: lots}",
        "dag: {shedule: daily}",
    ],
)
def test_what_an_editor_should_underline_is_invalid(rollout: str) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(read_document(f"rollouts: {{a: {{{rollout}}}}}").value, file_schema())


def test_fields_are_explained() -> None:
    parts = file_schema()["$defs"]
    for part in ("Stage", "Rollout", "Experiment", "DagSettings", "Policy", "Approval"):
        silent = [name for name, field in parts[part]["properties"].items() if not field.get("description")]
        assert silent == [], part
