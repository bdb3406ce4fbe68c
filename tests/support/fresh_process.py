"""Lets a trigger in a test find what it finds in a triggerer: a process in which no token has worked yet."""

from __future__ import annotations

from airflow_provider_launchdarkly.api.http import rate_limit


def forget_answers() -> None:
    """Forget that the tokens of this process have worked. A worker's calls are made in a process of their own."""
    for gate in rate_limit._gates.values():
        gate.answered = 0
