"""When people may be given something new: business hours, weekdays, blackouts. Pure: no Airflow, no clock."""

from airflow_provider_launchdarkly.change_windows.calendar import read_calendar
from airflow_provider_launchdarkly.change_windows.content_lines import CalendarError
from airflow_provider_launchdarkly.change_windows.window import ChangeWindow, Closure, NeverOpenError, Weekday

__all__ = ["CalendarError", "ChangeWindow", "Closure", "NeverOpenError", "Weekday", "read_calendar"]
