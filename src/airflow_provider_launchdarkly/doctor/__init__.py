"""The doctor: read-only checks of a real account and its warehouse, each line fine or with a cure."""
