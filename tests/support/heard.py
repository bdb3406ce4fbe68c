"""A notifier of the users' own, which remembers what it was to send."""

from __future__ import annotations

import time
from typing import Any

from airflow.providers.common.compat.sdk import BaseNotifier
from typing_extensions import override

HEARD: list[str] = []
PATH = "support.heard.Heard"


class Heard(BaseNotifier):
    """Remembers the text; or fails; or is so slow that the sender has given up, and remembers nothing.

    Remembered late, the text would be heard by another test.
    """

    def __init__(self, *, text: str, problem: str = "", seconds: float = 0.0) -> None:
        super().__init__()
        self.text, self.problem, self.seconds = text, problem, seconds

    @override
    def notify(self, context: Any) -> None:
        if self.seconds:
            time.sleep(self.seconds)
            return
        if self.problem:
            raise RuntimeError(self.problem)
        HEARD.append(self.text)
