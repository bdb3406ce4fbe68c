"""Metrics in rollout files: a section of a file, or a file of their own that rollouts in the same folder name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.config.regular_files import open_regular
from airflow_provider_launchdarkly.config.strict_yaml import Document, read_document
from airflow_provider_launchdarkly.rollout.known_good import digest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as FilePath

    from airflow_provider_launchdarkly.evidence.warehouse.metric_settings import MetricSettings
    from airflow_provider_launchdarkly.rollout.known_good import KnownGood

SECTION = "metrics"


def holds_only_metrics(document: Document) -> bool:
    """Return whether a document is a file of metrics, without rollouts."""
    return isinstance(document.value, dict) and SECTION in document.value and "rollouts" not in document.value


def section_of(document: Document, file: FilePath) -> Mapping[str, MetricSettings]:
    """Return the metrics that a file of rollouts defines for all of them.

    Raises:
        MetricsFileError: They are wrong.
    """
    if SECTION not in document.value:
        return {}
    from airflow_provider_launchdarkly.evidence.warehouse.metric_files import metrics_of

    return metrics_of(Document({SECTION: document.value[SECTION]}, document.lines), str(file))


def lay_under(results: Any, shared: Mapping[str, MetricSettings], file: FilePath) -> Any:
    """Return the results of a rollout with the metrics that its file defines, and those of the file that it names.

    Args:
        results: The rollout's ``results``, as written.
        shared: The metrics of the rollout's own file.
        file: The rollout's file; the path of another one is relative to its folder.

    Raises:
        MetricsFileError: The named file cannot be read or is wrong.
    """
    if not isinstance(results, dict) or results.get("source") != "data_export":
        return results
    own = results.get(SECTION, {})
    if isinstance(own, str):
        from airflow_provider_launchdarkly.evidence.warehouse.metric_files import read_metrics

        own = read_metrics(file.parent / own)
    return {**results, SECTION: {**shared, **own}} if isinstance(own, dict) else results


def is_metrics_file(file: FilePath, known_good: KnownGood | None = None) -> bool:
    """Return whether a file holds metrics and no rollouts.

    Args:
        file: The file.
        known_good: What is known of files from earlier readings.
    """
    try:
        with open_regular(file) as opened:
            content = opened.read()
        stamp = known_good.find(file, digest(content)) if known_good is not None else None
        return stamp.is_metrics if stamp is not None else holds_only_metrics(read_document(content.decode("utf-8")))
    except (OSError, ValueError):
        return False
