"""What several tiers import: where the repository is, and what a connection to an emulator looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer

REPOSITORY = Path(__file__).parent.parent.parent
CONNECTION = "AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT"


def connection_json(emulator: EmulatorServer, **extra: Any) -> str:
    """An Airflow connection to an emulator."""
    keys = {"project_key": "demo", "environment_key": "production"}
    return json.dumps(
        {"conn_type": "launchdarkly", "host": emulator.url, "password": emulator.token, "extra": {**keys, **extra}}
    )
