"""Errors of a warehouse, for people at a command line: which connection, what the database says, and what to do."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.cli.exit import CliError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from airflow_provider_launchdarkly.evidence.results_config import Results

# Characters of a driver's message; some repeat the whole statement.
_ROOM = 300


@contextmanager
def reading(results: Results, file: Path) -> Iterator[None]:
    """Name the connection and the cure in every error of a warehouse that is read within.

    Args:
        results: The description of the results.
        file: The file that it comes from.

    Raises:
        CliError: LaunchDarkly, a file or the warehouse cannot be read.
    """
    try:
        yield
    except (LaunchDarklyError, ValueError, OSError) as error:
        raise CliError(str(error)) from error
    except CliError:
        raise
    except Exception as error:
        # Each driver has errors of its own, and a built-in one is no answer of a database.
        if type(error).__module__ == "builtins":
            raise
        raise CliError(_explained(error, str(getattr(results, "conn_id", "")), file)) from error


def _explained(error: Exception, conn_id: str, file: Path) -> str:
    if type(error).__name__ == "AirflowNotFoundException":  # not imported: it would load Airflow for every command
        variable = f"AIRFLOW_CONN_{conn_id.upper()}"
        return f"connection {conn_id!r} of {file} is not defined: set {variable} to its JSON or URI, or correct conn_id"
    said = " ".join(str(error).split())
    said = said if len(said) <= _ROOM else f"{said[:_ROOM]}…"
    return (
        f"the warehouse of connection {conn_id!r} could not be read ({type(error).__name__}: {said}): see that it can "
        f"be reached from here with this connection, and that `schema` and `where` in {file} are right"
    )
