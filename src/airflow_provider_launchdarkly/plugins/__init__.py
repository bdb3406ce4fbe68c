"""The Airflow plugin, which registers the timetable."""
