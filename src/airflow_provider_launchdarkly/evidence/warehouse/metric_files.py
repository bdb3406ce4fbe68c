"""Reads metrics from files such as ``metrics.yaml``; an error has file, line and field. No network, no Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import ValidationError

from airflow_provider_launchdarkly.config.problems import InvalidSettingError, Problem, field_name, flatten_errors
from airflow_provider_launchdarkly.config.regular_files import open_regular, why_unread
from airflow_provider_launchdarkly.config.strict_yaml import DocumentError, read_document
from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricsFile

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_launchdarkly.config.strict_yaml import Document
    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings


class MetricsFileError(InvalidSettingError):
    """A file that does not hold metrics. The message has a line for each problem.

    Attributes:
        problems: Each with file, line and field.
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


def read_metrics(path: str | Path) -> dict[str, MetricSettings]:
    """Read the metrics of a YAML file in UTF-8, for the `metrics` of :class:`DataExportResults`.

    Args:
        path: The file. Below ``metrics:`` it has each metric by its key, with the fields of :class:`MetricSettings`.

    Returns:
        The metrics by key.

    Raises:
        MetricsFileError: The file cannot be read or is wrong. It is a ValueError, and names file, line and field.
    """
    try:
        with open_regular(path) as file:
            text = file.read().decode("utf-8")
    except UnicodeDecodeError as error:
        raise MetricsFileError(Problem(str(path), None, "", f"this is no UTF-8: {error.reason}")) from None
    except OSError as error:
        raise MetricsFileError(Problem(str(path), None, "", why_unread(path, error))) from None
    return parse_metrics(text, source=str(path))


def parse_metrics(text: str, source: str) -> dict[str, MetricSettings]:
    """Read metrics from YAML text.

    Args:
        text: The text.
        source: Name of the text in errors.

    Raises:
        MetricsFileError: The text is wrong.
    """
    try:
        document = read_document(text)
    except DocumentError as error:
        raise MetricsFileError(Problem(source, error.line, "", str(error))) from None
    return metrics_of(document, source)


def metrics_of(document: Document, source: str) -> dict[str, MetricSettings]:
    """Read the metrics of a YAML document.

    Args:
        document: The document.
        source: Name of the text in errors.

    Raises:
        MetricsFileError: The document does not hold metrics.
    """
    if not isinstance(document.value, dict) or "metrics" not in document.value:
        message = "the file has no `metrics:`; write it, and below it each metric by its key"
        raise MetricsFileError(Problem(source, 1, "", message))
    try:
        return dict(MetricsFile.model_validate(document.value).metrics)
    except ValidationError as error:
        problems = (
            Problem(source, document.line(path), field_name(path), message) for path, message in flatten_errors(error)
        )
        raise MetricsFileError(*problems) from None
