"""The JSON Schema of rollout files, for editors.

It is made from the models. Only the command `validate` checks which fields are required, since defaults may set them,
and rules between fields.
"""

from __future__ import annotations

import inspect
import json
import re
from typing import TYPE_CHECKING, Any

from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import override

from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricsFile
from airflow_provider_launchdarkly.rollout.dag_settings import DagSettings
from airflow_provider_launchdarkly.rollout.promotion import Environment
from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
from airflow_provider_launchdarkly.rollout.spec import Rollout
from airflow_provider_launchdarkly.rollout.waves import SETTINGS, Target, WaveSettings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core.core_schema import DataclassSchema, WithDefaultSchema

    from airflow_provider_launchdarkly.rollout.entries import Entry

# The models that also take a plain value.
_SHORT = {
    "Looks": {"type": "string"},
    "OnData": {"type": "boolean"},
    "DataArrival": {"const": "analyzed_at"},
    "Partitions": {"type": "string"},
    "Futility": {"const": "off"},
    "Metric": {"type": "string"},
    "Closure": {"type": "string"},
    "GuardedMetric": {"type": "string"},
}


class _WithoutDefaults(GenerateJsonSchema):
    """A generator without defaults: the file's own `defaults` replace them."""

    @override
    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    @override
    def dataclass_schema(self, schema: DataclassSchema) -> JsonSchemaValue:
        """Say what the docstring says, which older pydantic leaves out."""
        made = super().dataclass_schema(schema)
        return {"description": inspect.cleandoc(schema["cls"].__doc__ or ""), **made}


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
    described = {
        Environment: "The environments, one after the other: each begins once the one before has shipped.",
        Target: "The targets, in waves: whatever has a rule of a flag to itself, such as projects, markets or tenants.",
    }
    fields = dict(entry["properties"])
    for kind, text in described.items():
        entry["properties"][kind.field] = _entries(kind, parts, fields) | {"description": text}
    _add_release(entry, parts)
    entry["properties"][SETTINGS] = _waves(parts)
    preset = {"enum": sorted(PRESETS), "description": "A policy by its name; what else is given changes it."}
    parts["Policy"]["properties"] = {"preset": preset, **parts["Policy"]["properties"]}
    hours = parts["ChangeWindow"]["properties"]["hours"]
    parts["ChangeWindow"]["properties"]["hours"] = {"anyOf": [hours, {"type": "string"}]}
    parts["ChangeWindow"]["properties"].pop("events", None)  # filled in from the calendar, never written
    # Without `source`, results are a query.
    parts["SqlResults"]["properties"]["source"] = {"const": "sql", "description": "May be left out."}
    parts["SqlResults"]["additionalProperties"] = False
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
            "metrics": metrics_schema(alone=False),
            "rollouts": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"$ref": "#/$defs/Rollout"},
                "description": "Each rollout by its name: its DAG's id, and the experiment's key if none is given.",
            },
        },
        "$defs": {**parts, "Rollout": entry},
    }


def _entries(kind: type[Entry], parts: dict[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a field with entries; add that of its entries to the parts."""
    made = kind.model_json_schema(schema_generator=_WithoutDefaults)
    _tidy(made)
    made["properties"] |= {name: _or_null(fields[name]) for name in kind.may_differ}
    made["additionalProperties"] = False
    parts[kind.__name__] = {"anyOf": [{"type": "string"}, made]}
    return {"type": "array", "minItems": 1, "items": {"$ref": f"#/$defs/{kind.__name__}"}}


def _add_release(entry: dict[str, Any], parts: dict[str, Any]) -> None:
    """Add the fields of a rollout with `release` to those of an experiment's; where both have one, either form goes."""
    made = ReleaseRollout.model_json_schema(schema_generator=_WithoutDefaults)
    own: dict[str, Any] = made.pop("$defs")
    for part in (made, *own.values()):
        _tidy(part)
        part.pop("required", None)
    parts.update({name: part for name, part in own.items() if name not in parts})
    entry["properties"] |= {
        name: field for name, field in made["properties"].items() if name not in entry["properties"]
    }
    environment = parts["Environment"]["anyOf"][1]["properties"]
    environment |= {name: _or_null(made["properties"][name]) for name in ("release", "decide_within")}
    for fields in (entry["properties"], environment):
        approval = {"anyOf": [{"$ref": "#/$defs/Approval"}, {"$ref": "#/$defs/ReleaseApproval"}]}
        fields["approval"] = {"description": fields["approval"].get("description", ""), **approval} | (
            {} if fields is entry["properties"] else {"anyOf": [*approval["anyOf"], {"type": "null"}]}
        )


def _waves(parts: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of the field `waves`; add that of its parts to the parts."""
    made = WaveSettings.model_json_schema(schema_generator=_WithoutDefaults)
    wave = made.pop("$defs")["Wave"]
    for part in (made, wave):
        _tidy(part)
    made.pop("required", None)
    parts["WaveSettings"] = made
    parts["Wave"] = {"anyOf": [wave["properties"]["size"], wave["properties"]["targets"], wave]}
    return {"$ref": "#/$defs/WaveSettings", "description": made["description"]}


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field that null takes away."""
    described = {name: field[name] for name in ("description",) if name in field}
    return {
        "anyOf": [{name: part for name, part in field.items() if name != "description"}, {"type": "null"}]
    } | described


def metrics_schema(*, alone: bool = True) -> dict[str, Any]:
    """Return the schema of a file of metrics, as plain JSON.

    Args:
        alone: False for the section of a rollout file, which has its definitions.
    """
    whole = MetricsFile.model_json_schema(schema_generator=_WithoutDefaults)
    section: dict[str, Any] = whole["properties"]["metrics"]
    section.pop("title", None)
    section["description"] = "Each metric by its key, by which the policy names it."
    if not alone:
        return section
    for part in whole["$defs"].values():
        _tidy(part)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Metrics over the events of a warehouse",
        "type": "object",
        "required": ["metrics"],
        "additionalProperties": False,
        "properties": {"metrics": section},
        "$defs": whole["$defs"],
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
