"""A PostgreSQL server of one's own, for Airflow's metadata database."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

from stack.airflow_stack import StackError

if TYPE_CHECKING:
    from collections.abc import Callable

USER = "airflow"


class Postgres:
    """A cluster in a folder, on loopback; whoever starts its command ends it too.

    Args:
        folder: An empty folder.
        port: Where it listens.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.owner = database_owner()
        self._port = port

    def url(self, database: str) -> str:
        """SQLAlchemy's URL of a database. The cluster begins with `postgres` and `template1`."""
        return f"postgresql+psycopg2://{USER}@127.0.0.1:{self._port}/{database}"

    def create(self) -> None:
        """Make the cluster."""
        if self.owner is not None:
            shutil.chown(self.folder, self.owner)
        command = [str(server_program("initdb", "postgresql")), "-D", str(self.folder), "-U", USER]
        made = subprocess.run(
            [*command, "-A", "trust", "-E", "UTF8", "--locale=C"],
            user=self.owner,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
        )
        if made.returncode != 0:
            raise StackError(f"initdb failed: {made.stdout}{made.stderr}")

    def command(self) -> list[str]:
        """What runs the server, as `owner`."""
        settings = ["-c", "fsync=off", "-c", "max_connections=200", "-c", "unix_socket_directories="]
        server = server_program("postgres", "postgresql")
        return [str(server), "-D", str(self.folder), "-h", "127.0.0.1", "-p", str(self._port), *settings]

    def wait_until_up(self, check_alive: Callable[[], object], log: Path) -> None:
        """Wait until it answers; `check_alive` raises if it has ended."""
        deadline = time.monotonic() + 60
        asks = server_program("pg_isready", "postgresql")
        command = [str(asks), "-h", "127.0.0.1", "-p", str(self._port), "-q"]
        while subprocess.run(command, check=False).returncode != 0:
            check_alive()
            if time.monotonic() > deadline:
                raise StackError(f"PostgreSQL did not answer within 60 s; read {log}")
            time.sleep(0.2)


def server_program(name: str, package: str) -> Path:
    """The path of a server's program.

    Raises:
        StackError: It is not installed. The message says which of Debian's packages has it.
    """
    # Debian keeps PostgreSQL's programs out of PATH, a folder for each version; the newest is taken.
    kept = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: float(path.parts[4]))
    found = kept[-1] if kept else shutil.which(name)
    if found is None:
        raise StackError(f"{name} is not installed; on Debian: apt-get install {package}")
    return Path(found)


def database_owner() -> str | None:
    """The user that PostgreSQL runs as: it refuses root. None is whoever runs this."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in users else "nobody"
