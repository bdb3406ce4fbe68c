"""Airflow's own wait for a person's answer, which a question runs beside its watch and cancels when there is harm."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.providers.standard.triggers.hitl import HITLTrigger
from typing_extensions import override

from airflow_provider_launchdarkly.hooks.unbroken import unbroken

if TYPE_CHECKING:
    from airflow.triggers.base import TriggerEvent


class AnswerTrigger(HITLTrigger):
    """Wait for an answer as Airflow does, but ask Airflow so that a cancelled wait leaves no reply unread."""

    @override
    async def _handle_timeout(self) -> TriggerEvent:
        return await unbroken(super()._handle_timeout())

    @override
    async def _handle_response(self) -> Any:
        return await unbroken(super()._handle_response())  # type: ignore[no-untyped-call]
