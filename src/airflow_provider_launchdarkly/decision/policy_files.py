"""Policies from YAML: strict, so that a slip in a file that ships things is named and not guessed at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from typing_extensions import override

from airflow_provider_launchdarkly.decision.policy import Policy


class PolicyError(ValueError):
    """A policy that cannot be read. The message has a line for each wrong field, with its place and its value."""


def read_policy(path: str | Path) -> Policy:
    """Read a policy from a YAML file.

    Args:
        path: The file.

    Raises:
        PolicyError: The file is no policy.
        OSError: The file cannot be read.
    """
    return parse_policy(Path(path).read_text(encoding="utf-8"), source=str(path))


def parse_policy(text: str, source: str = "policy") -> Policy:
    """Read a policy from YAML text.

    Args:
        text: A mapping with the fields of :class:`Policy`; ``preset: NAME`` starts from a preset.
        source: What to call the text in errors.

    Raises:
        PolicyError: The text is no policy; unknown and repeated keys are errors too.
    """
    value = _load(text, source)
    if value is None:
        value = {}
    if not isinstance(value, dict):
        raise PolicyError(f"{source}: a policy is a mapping of fields, not {type(value).__name__}")
    from pydantic import ValidationError

    try:
        return Policy.from_json(value)
    except ValidationError as error:
        raise PolicyError("\n".join(f"{source}: {line}" for line in describe(error))) from None
    except ValueError as error:
        raise PolicyError(f"{source}: {error}") from None


def describe(error: Any) -> list[str]:
    """One line for each mistake that pydantic found: where, what is wrong, what was given."""
    lines = []
    for mistake in error.errors(include_url=False):
        where = ".".join(str(part) for part in mistake["loc"])
        message = mistake["msg"].removeprefix("Value error, ")
        given = "" if isinstance(mistake["input"], dict) else f" (given: {mistake['input']!r})"
        if mistake["type"] == "extra_forbidden":
            message, given = "no such field", ""
        lines.append(f"{where}: {message}{given}" if where else message)
    return lines


def _load(text: str, source: str) -> Any:
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML takes the last of two equal keys silently; here that is an error."""

        @override
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    line = node.start_mark.line + 1
                    raise yaml.constructor.ConstructorError(problem=f"{key!r} is given twice, from line {line}")
            return super().construct_mapping(node, deep)

    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise PolicyError(f"{source}: {' '.join(str(error).split())}") from None
