"""An auth manager for the tests: Airflow's simple one, which knows no DAGs, but whoever only views sees one DAG."""

from __future__ import annotations

from typing import Any

from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
from typing_extensions import override

READER, READABLE = "reader", "staged_ramp"


class OneDagReader(SimpleAuthManager):
    """Lets the user `reader` see the DAG `staged_ramp` alone; everyone else may do what the simple one says."""

    @override
    def is_authorized_dag(self, *, method: Any, user: Any, access_entity: Any = None, details: Any = None) -> bool:
        # Without a DAG's name, Airflow asks whether there is any DAG; the list is filtered afterwards.
        named = details.id if details is not None else None
        if user.username == READER and named not in {None, READABLE}:
            return False
        allowed: bool = super().is_authorized_dag(
            method=method, user=user, access_entity=access_entity, details=details
        )
        return allowed
