"""Starts the process in which everything is imported, once for all lanes: importing it takes three seconds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from typing import Any, Self


class Warm:
    """The process from which those of the lanes are forked (`crash.warmed`)."""

    def __init__(self) -> None:
        self._orders, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "crash.warmed", str(theirs.fileno())],
                # It imports what this process does, wherever the provider was installed from.
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
                pass_fds=[theirs.fileno()],
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._orders.close()
        self._process.wait()

    def fork(self, url: str, environment: dict[str, str]) -> Any:
        """Fork a lane's process; return the stream of its orders and answers.

        Args:
            url: Where the lane's proxy is.
            environment: Environment variables.
        """
        ours, theirs = socket.socketpair()
        with ours, theirs:
            socket.send_fds(self._orders, [json.dumps([url, environment]).encode()], [theirs.fileno()])
            return ours.makefile("rw")
