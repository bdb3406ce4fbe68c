"""The JSON Schema of rollout files, for editors.

It is made from the models. Only the command `validate` checks which fields are required, since defaults may set them,
and rules between fields.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.rollout.files import DagSettings
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core.core_schema import WithDefaultSchema

# The models that also take a plain value.
_SHORT = {
    "Looks": {"type": "string"},
    "Futility": {"const": "off"},
    "Metric": {"type": "string"},
    "Closure": {"type": "string"},
}


class _WithoutDefaults(GenerateJsonSchema):
    """A generator without defaults: the file's own `defaults` replace them."""

    @override
    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])


def file_schema() -> dict[str, Any]:
    """Return the schema of a file, as plain JSON."""
    entry = Rollout.model_json_schema(schema_generator=_WithoutDefaults)
    parts: dict[str, Any] = entry.pop("$defs")
    parts["DagSettings"] = DagSettings.model_json_schema(schema_generator=_WithoutDefaults)
    listed = set(re.findall(r'"items": \{"\$ref": "#/\$defs/(\w+)"', json.dumps({"": entry, **parts})))
    for name, part in parts.items():
        _tidy(part)
        if name not in listed:
            part.pop("required", None)
    _tidy(entry)
    entry["properties"]["dag"] = {"$ref": "#/$defs/DagSettings", "description": "The DAG's settings in Airflow."}
    entry.pop("required", None)
    preset = {"enum": sorted(PRESETS), "description": "A policy by its name; what else is given changes it."}
    parts["Policy"]["properties"] = {"preset": preset, **parts["Policy"]["properties"]}
    hours = parts["ChangeWindow"]["properties"]["hours"]
    parts["ChangeWindow"]["properties"]["hours"] = {"anyOf": [hours, {"type": "string"}]}
    parts["ChangeWindow"]["properties"].pop("events", None)  # filled in from the calendar, never written
    for name, short in _SHORT.items():
        parts[name] = {"anyOf": [short, parts[name]]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Rollouts of LaunchDarkly experiments",
        "type": "object",
        "required": ["rollouts"],
        "additionalProperties": False,
        "properties": {
            "defaults": {"$ref": "#/$defs/Rollout", "description": "Laid under each rollout of the file."},
            "rollouts": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/Rollout"},
                "description": "Each rollout by its name: its DAG's id, and the experiment's key if none is given.",
            },
        },
        "$defs": {**parts, "Rollout": entry},
    }


def _tidy(part: dict[str, Any]) -> None:
    """Describe each field as its class's docstring does, and write durations as `7d`."""
    summary, _, attributes = part.get("description", "").partition("\n\nAttributes:\n")
    if "description" in part:
        part["description"] = " ".join(summary.split())
    said = dict(re.findall(r"^ {4}(\w+): ((?:.|\n {8})*)", attributes, flags=re.MULTILINE))
    for name, field in part.get("properties", {}).items():
        field.pop("title", None)
        if name in said:
            field["description"] = " ".join(said[name].split())
        for shape in (field, *field.get("anyOf", ()), field.get("items", {})):
            if shape.get("format") == "duration":
                shape.pop("format")
                shape["examples"] = ["7d", "12h", "1d12h"]
