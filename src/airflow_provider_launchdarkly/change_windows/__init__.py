"""Change windows: business hours, weekdays and blackouts for giving people something new. Pure."""

from airflow_provider_launchdarkly.change_windows.calendar import CalendarError, read_calendar
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, Closure, NeverOpenError, Weekday

__all__ = ["CalendarError", "ChangeWindow", "Closure", "NeverOpenError", "Weekday", "read_calendar"]
