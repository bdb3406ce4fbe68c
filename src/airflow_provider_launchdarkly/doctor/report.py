"""The report: its lines for the account's owner, and the summary for a bug report, which holds no key and no token."""

from __future__ import annotations

import platform
from collections import Counter
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Placeholders

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.doctor.likeness import Likeness

FORMAT: Final = 1
"""Version of the JSON report's form."""


def line(finding: Finding) -> str:
    """Return a finding as its owner reads it, keys included."""
    return _line(finding, finding.what.open(), finding.cure.open() if finding.cure else None)


def summary(findings: Sequence[Finding]) -> str:
    """Return the lines for a bug report: no token, no key, no word of others."""
    placeholders = Placeholders()
    lines = [
        _line(finding, finding.what.closed(placeholders), finding.cure.closed(placeholders) if finding.cure else None)
        for finding in findings
    ]
    return "\n".join([", ".join(f"{name} {value}" for name, value in _versions()), *lines, counts(findings)])


def counts(findings: Sequence[Finding]) -> str:
    """Return how many lines there are of each status."""
    found = Counter(finding.status for finding in findings)
    return ", ".join(f"{found[status]} {status.value}" for status in Status)


def as_json(findings: Sequence[Finding], likeness: Likeness) -> dict[str, Any]:
    """Return the summary as plain JSON, with the settings for ``airflow-launchdarkly emulator --like``."""
    placeholders = Placeholders()
    return {
        "doctor": FORMAT,
        "versions": dict(_versions()),
        "findings": [
            {
                "check": finding.check,
                "status": finding.status.value,
                "what": finding.what.closed(placeholders),
                "cure": finding.cure.closed(placeholders) if finding.cure else None,
            }
            for finding in findings
        ],
        "emulator": likeness.to_json(),
    }


def _line(finding: Finding, what: str, cure: str | None) -> str:
    text = f"{finding.status.value:8} {finding.check:12} {what}".replace("\n", f"\n{'':22}")
    return f"{text}\n{'':22}cure: {cure}" if cure else text


def _versions() -> Iterator[tuple[str, str]]:
    yield "airflow-provider-launchdarkly", __version__
    try:
        yield "apache-airflow", version("apache-airflow")
    except PackageNotFoundError:
        yield "apache-airflow", "not installed"
    yield "python", platform.python_version()
