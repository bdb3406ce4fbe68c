"""What a scanner for code references sends: a repository, and its default branch with all references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer


def scan(emulator: EmulatorServer, repository: str, places: Mapping[str, Sequence[int]], flag_key: str) -> None:
    """Let a flag be named in a repository.

    Args:
        emulator: Where LaunchDarkly is.
        repository: Its name. It is connected if it is not yet.
        places: Line numbers by file; none where the flag was removed.
        flag_key: The flag, of project ``demo``.
    """
    base = f"{emulator.url}/api/v2/code-refs/repositories"
    headers = {"Authorization": emulator.token}
    made = httpx.post(base, json={"name": repository, "sourceLink": "https://example.com/shop"}, headers=headers)
    assert made.status_code in (200, 409), made.text
    references: list[dict[str, Any]] = [
        {
            "path": path,
            "hunks": [
                {"startingLineNumber": line, "lines": "if bold:", "projKey": "demo", "flagKey": flag_key}
                for line in lines
            ],
        }
        for path, lines in places.items()
    ]
    branch = {"name": "main", "head": "abc", "syncTime": 1_700_000_000_000, "references": references}
    sent = httpx.put(f"{base}/{repository}/branches/main", json=branch, headers=headers)
    assert sent.status_code == 200, sent.text
