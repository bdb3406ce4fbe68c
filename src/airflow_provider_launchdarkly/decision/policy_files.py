"""Policies in YAML files, read as rollout files are: a policy means the same here and pasted into a rollout."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.config.problems import InvalidSettingError, Problem, field_name, flatten_errors
from airflow_provider_launchdarkly.config.regular_files import open_regular, why_unread
from airflow_provider_launchdarkly.config.strict_yaml import DocumentError, read_document
from airflow_provider_launchdarkly.decision.policy import Policy

if TYPE_CHECKING:
    from pathlib import Path


class PolicyError(ValueError):
    """A policy that cannot be read. The message has a line for each problem.

    Attributes:
        problems: Each with file, line and field.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def read_policy(path: str | Path) -> Policy:
    """Read a policy from a YAML file in UTF-8.

    Args:
        path: The file.

    Raises:
        PolicyError: The file is no policy.
        OSError: The file cannot be read.
    """
    try:
        with open_regular(path) as file:
            text = file.read().decode()
    except UnicodeDecodeError as error:
        raise PolicyError(Problem(path, None, "", f"this is no UTF-8: {error.reason}")) from None
    except OSError as error:
        raise OSError(error.errno, why_unread(path, error), str(path)) from None
    return parse_policy(text, source=str(path))


def parse_policy(text: str, source: str = "policy") -> Policy:
    """Read a policy from YAML text.

    Args:
        text: A mapping with the fields of :class:`Policy`; ``preset: NAME`` starts from a preset.
        source: Name of the text in errors.

    Raises:
        PolicyError: The text is no policy, or has unknown or repeated fields.
    """
    try:
        document = read_document(text)
    except DocumentError as error:
        raise PolicyError(Problem(source, error.line, "", str(error))) from None
    if not isinstance(document.value, dict):
        given = "nothing" if document.value is None else repr(document.value)
        message = f"a policy is a mapping of fields such as `preset: balanced`, not {given}"
        raise PolicyError(Problem(source, 1, "", message))
    try:
        return Policy.from_json(document.value)
    except InvalidSettingError as error:
        raise PolicyError(
            *(
                Problem(source, document.line(path), field_name(path), message)
                for path, message in flatten_errors(error)
            )
        ) from None
