"""A viewer of the pages, before an Airflow that is pretended."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.api_fastapi.core_api import security
from airflow.models.dag import DagModel
from fastapi.testclient import TestClient

from airflow_provider_launchdarkly.plugins.pages import app as pages
from airflow_provider_launchdarkly.plugins.pages import gathering
from support.pretended_airflow import COOKIE, PretendedAirflow
from support.shown import DAG, DAY, HOUR, START


class Manager:
    """Airflow's auth manager, as far as the pages ask it."""

    def __init__(self) -> None:
        self.readable = {DAG}

    def get_authorized_dag_ids(self, **_: Any) -> set[str]:
        return self.readable

    def is_authorized_dag(self, *, details: Any = None, **_: Any) -> bool:
        return details is not None and details.id in self.readable

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"the pages ask the auth manager for {name}")


@pytest.fixture
def airflow() -> PretendedAirflow:
    pretended = PretendedAirflow()
    pretended.app.mount("/launchdarkly", pages.mounted)
    return pretended


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[Manager]:
    fake = Manager()
    monkeypatch.setattr(pages, "get_auth_manager", lambda: fake)
    monkeypatch.setattr(security, "get_auth_manager", lambda: fake)
    # Airflow 3.3 reads a DAG's team from the database.
    monkeypatch.setattr(DagModel, "get_team_name", staticmethod(lambda *_, **__: None), raising=False)
    pages.application.dependency_overrides[security.get_user] = lambda: SimpleNamespace(get_id=lambda: "ann")
    yield fake
    pages.application.dependency_overrides.clear()
    pages._memories.clear()


@pytest.fixture
def viewer(airflow: PretendedAirflow, manager: Manager) -> TestClient:
    return TestClient(airflow.app, cookies={"_token": COOKIE})


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """An hour after the newest notes, so nothing is overdue."""
    monkeypatch.setattr(gathering, "_now", lambda: START + 8 * DAY + HOUR)
