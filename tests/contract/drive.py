"""Runs inside the environment of one of LaunchDarkly's published Python clients: calls it as asked and tells what came.

One JSON object a line on stdin, one on stdout. It needs nothing but that client and changes nothing of it; all of the
client's own type checks are on.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from functools import cache, lru_cache
from typing import Any

import launchdarkly_api
from launchdarkly_api.api_client import ApiClient
from launchdarkly_api.exceptions import ApiException, OpenApiException

# Up to 17.2.0 the generator wrote models of its own and took any keyword; later versions are built on pydantic.
OLD_GENERATOR = importlib.util.find_spec("launchdarkly_api.model") is not None
MODELS = "launchdarkly_api.model" if OLD_GENERATOR else "launchdarkly_api.models"
PLAIN = ApiClient()
PATIENCE = 30.0


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr  # the client may print; only answers go to the other side
    do = {"call": call, "methods": methods_of, "fields": fields_of}
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(do[asked.pop("do")](asked)), file=answers, flush=True)


def call(asked: dict[str, Any]) -> dict[str, Any]:
    """Call one method; tell what the client made of the answer, or what it raised."""
    try:
        client = client_of(asked["url"], asked["token"], asked["api_version"])
        method = getattr(api_of(asked["api"])(client), asked["method"])
        return _call_old(method, asked) if OLD_GENERATOR else _call_new(method, asked)
    except ApiException as error:
        body = error.body.decode() if isinstance(error.body, bytes) else error.body
        return {"raised": type(error).__name__, "status": error.status, "body": _json(body), "data": _plain(error)}
    except (OpenApiException, TypeError, ValueError, AttributeError, LookupError) as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def _call_old(method: Any, asked: dict[str, Any]) -> dict[str, Any]:
    client = method.__self__.api_client
    model, status, headers = method(
        **_arguments(asked),
        _spec_property_naming=True,
        _return_http_data_only=False,
        _request_timeout=PATIENCE,
        **({"_content_type": asked["content_type"]} if asked["content_type"] else {}),
    )
    return _told(model, status, dict(headers), _body(client.last_response.data))


def _call_new(method: Any, asked: dict[str, Any]) -> dict[str, Any]:
    method = getattr(method.__self__, f"{asked['method']}_with_http_info")
    answer = method(**_arguments(asked), _content_type=asked["content_type"], _request_timeout=PATIENCE)
    return _told(answer.data, answer.status_code, dict(answer.headers), _body(answer.raw_data))


def _body(data: Any) -> Any:
    """The JSON of an answer; None for one without a body, as for a deletion."""
    return json.loads(data) if data else None


def _arguments(asked: dict[str, Any]) -> dict[str, Any]:
    arguments: dict[str, Any] = asked["arguments"]
    if "start_environment_release_request" in arguments:
        return arguments | {"start_environment_release_request": _release(asked)}
    body = arguments.get("patch_with_comment", {})
    if "instructions" not in body:
        return arguments
    return arguments | {"patch_with_comment": _semantic_flag_patch(body)}


def _release(asked: dict[str, Any]) -> object:
    """The body of a release as an object of the client's: given plain JSON, it loses what is one of two models."""
    kind = importlib.import_module(f"{MODELS}.start_environment_release_request").StartEnvironmentReleaseRequest
    return kind.from_dict(asked["arguments"]["start_environment_release_request"])


def _semantic_flag_patch(body: dict[str, Any]) -> object:
    """A flag's semantic patch as an object of the client's class for it, which knows JSON patch only."""
    kind = importlib.import_module(f"{MODELS}.patch_with_comment").PatchWithComment
    if not OLD_GENERATOR:
        semantic: Any = type("SemanticPatch", (kind,), {"to_dict": lambda _self: body})
        return semantic.model_construct()
    patch = kind._from_openapi_data(patch=[], _check_type=False, **body)
    del patch._data_store["patch"]
    return patch


def _told(model: object, status: int, headers: dict[str, Any], raw: Any) -> dict[str, Any]:
    return {
        "status": status,
        "headers": {name.lower(): value for name, value in headers.items()},
        "model": type(model).__name__,
        "value": PLAIN.sanitize_for_serialization(_whole(model)),
        "raw": raw,
        "unknown": sorted(set(unknown_fields(model, raw))),
    }


def _whole(model: Any) -> object:
    """A model to write out. Those of releases mark what only LaunchDarkly sets, and their `to_dict` leaves it out."""
    if type(model).__name__.startswith("EnvironmentRelease"):
        return model.model_dump(mode="json", by_alias=True, exclude_unset=True)
    return model


def unknown_fields(model: object, raw: Any) -> Iterator[str]:
    """Yield `Model.field` for every field of an answer that its published model does not have."""
    if isinstance(model, list):
        for part, raw_part in zip(model, raw, strict=True):
            yield from unknown_fields(part, raw_part)
    elif isinstance(model, dict):
        for key, part in model.items():
            yield from unknown_fields(part, raw[key])
    elif names := published_names(type(model)):
        for key, raw_part in raw.items():
            if key not in names:
                yield f"{type(model).__name__}.{key}"
            elif raw_part is not None:
                yield from unknown_fields(getattr(model, names[key]), raw_part)


def published_names(kind: type) -> dict[str, str]:
    """A model's Python names by their JSON names; empty for what is no object with fields of its own."""
    if OLD_GENERATOR:
        return {json_name: name for name, json_name in getattr(kind, "attribute_map", {}).items()}
    return {field.alias or name: name for name, field in getattr(kind, "model_fields", {}).items()}


def fields_of(asked: dict[str, Any]) -> list[str]:
    """The JSON names of a model's fields; none if this client has no such model."""
    module = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", asked["model"]).lower()
    if importlib.util.find_spec(f"{MODELS}.{module}") is None:
        return []
    return list(published_names(getattr(importlib.import_module(f"{MODELS}.{module}"), asked["model"])))


@cache
def api_of(name: str) -> Any:
    """The class of an API by its plain name: `holdouts` is `HoldoutsApi` in one client, `HoldoutsBetaApi` in others."""
    for module in (f"launchdarkly_api.api.{name}_api", f"launchdarkly_api.api.{name}_beta_api"):
        if importlib.util.find_spec(module) is not None:
            found = importlib.import_module(module)
            return next(value for key, value in vars(found).items() if key.endswith("Api"))
    raise LookupError(f"this client has no API {name!r}")


@lru_cache(maxsize=8)  # each holds connections, and every emulator has an address of its own
def client_of(url: str, token: str, api_version: str | None) -> ApiClient:
    """A client as one sets it up: host, token, and the version header if one is wanted."""
    configuration = launchdarkly_api.Configuration(host=url, api_key={"ApiKey": token})
    client = ApiClient(configuration)
    if api_version is not None:
        client.set_default_header("LD-API-Version", api_version)
    return client


def methods_of(asked: dict[str, Any]) -> list[str]:
    """The public methods of an API."""
    twins = ("_with_http_info", "_without_preload_content")
    return [key for key in vars(api_of(asked["api"])) if not key.startswith("_") and not key.endswith(twins)]


def _plain(error: Any) -> object:
    """The typed body of an error, which only the new generator has."""
    data: Any = getattr(error, "data", None)
    return {"model": type(data).__name__, "value": data.to_dict()} if hasattr(data, "to_dict") else None


def _json(text: str | None) -> object:
    try:
        return json.loads(text or "")
    except ValueError:
        return text


if __name__ == "__main__":
    main()
