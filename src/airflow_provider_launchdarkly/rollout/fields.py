"""The types of fields that several models of a rollout have. Imports no Airflow.

A model that most rollouts leave out is imported where its field is given.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, Field

from airflow_provider_launchdarkly.config.keys import check_key, check_text
from airflow_provider_launchdarkly.config.later import Later

__all__ = ["ChangeWindow", "DataArrival", "Key", "Notify", "Text"]

Text = Annotated[str, Field(min_length=1), AfterValidator(check_text)]
Key = Annotated[str, Field(min_length=1), AfterValidator(check_key)]

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.change_windows.window import ChangeWindow
    from airflow_provider_launchdarkly.evidence.arrival import DataArrival
    from airflow_provider_launchdarkly.rollout.notify import Notify
else:

    def _change_window() -> Any:
        from airflow_provider_launchdarkly.change_windows.window import ChangeWindow

        return ChangeWindow

    def _arrival() -> Any:
        from airflow_provider_launchdarkly.evidence.arrival import DataArrival

        return DataArrival

    def _notify() -> Any:
        from airflow_provider_launchdarkly.rollout.notify import Notify

        return Notify

    ChangeWindow = Annotated[Any, Later(_change_window)]
    DataArrival = Annotated[Any, Later(_arrival)]
    Notify = Annotated[Any, Later(_notify)]
