"""The wait for an answer with reminders, where nothing runs that could be watched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.triggers.question import ReminderTrigger


def reminder_trigger(**question: Any) -> ReminderTrigger:
    """Make the trigger that waits for an answer, and for the time of the next reminder.

    Args:
        question: Its arguments.

    Raises:
        ConfigurationError: An argument is wrong; the triggerer would only find out after the deferral.
    """
    # Imported here, as by the watch: only a task that waits needs it.
    from airflow_provider_launchdarkly.triggers.question import ReminderTrigger

    trigger = ReminderTrigger(**question)
    trigger.check()
    return trigger
