"""The version of the provider; `pyproject.toml` reads it here."""

__version__ = "0.1.0"
