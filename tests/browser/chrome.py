"""Debian's Chromium, driven through playwright: visitors with a session each, and what the browser complains of."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

import pytest
from playwright.sync_api import sync_playwright

from support.surroundings import REPOSITORY

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

SCREENSHOTS = REPOSITORY / "build" / "screenshots"
PICTURES = REPOSITORY / "docs" / "images"
SIZE = {"width": 1280, "height": 800}
MILLISECONDS = 60_000
"""How long the browser may take for a step: it shares two processors with a scheduler and its tasks."""


def chromium() -> str:
    """Return Chromium's path; without one, every test that needs it fails."""
    wanted = os.environ.get("CHROMIUM") or "chromium"
    found = shutil.which(wanted)
    if found is None:
        pytest.fail(
            f"there is no program {wanted!r}: install Debian's package chromium (apt-get install chromium), or set "
            "CHROMIUM to the path of a Chromium or Chrome",
            pytrace=False,
        )
    return found


class Chrome:
    """A headless browser, as a context manager."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Self:
        self._playwright = sync_playwright().start()
        # Containers and root have no user namespaces for the sandbox. Only pages of this machine are opened.
        self._browser = self._playwright.chromium.launch(executable_path=self._path, args=["--no-sandbox"])
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._browser.close()
        self._playwright.stop()

    @contextmanager
    def visitor(self, url: str, *, session: Any = None, **options: Any) -> Iterator[Visitor]:
        """A person with a browser window.

        Args:
            url: Airflow's address.
            session: What :meth:`log_in` returned; None for someone who has not logged in.
            options: Anything that playwright's new_context takes, such as `color_scheme`.
        """
        given = {"viewport": SIZE, "timezone_id": "Europe/Berlin", "locale": "en-GB", **options}
        context = self._browser.new_context(base_url=url, storage_state=session, **given)
        context.set_default_timeout(MILLISECONDS)
        try:
            yield Visitor(context.new_page())
        finally:
            context.close()

    def log_in(self, url: str, user: str, password: str) -> Any:
        """Log in through Airflow's form; returns what the browser keeps of it."""
        with self.visitor(url) as visitor:
            page = visitor.page
            page.goto(f"{url}/")
            page.get_by_label("Username").fill(user)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url(lambda address: "/auth/login" not in address)
            return page.context.storage_state()


class Visitor:
    """A browser window, and what went wrong in it.

    Attributes:
        page: Playwright's page.
        complaints: Errors of the console, exceptions of scripts, and answers of 400 and more, in words.
    """

    def __init__(self, page: Any) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"exception: {error}"))
        page.on("response", self._response)

    def _console(self, message: Any) -> None:
        if message.type == "error":
            self.complaints.append(f"console: {message.text} ({message.location.get('url', '')})")

    def _response(self, response: Any) -> None:
        if response.status >= 400:
            self.complaints.append(f"{response.status} {response.request.method} {response.url}")

    def shoot(self, name: str, *, whole: bool = False) -> Path:
        """Keep a screenshot of what is in the window; returns its file.

        Args:
            name: Its name.
            whole: Whether it shows the whole page, also what one would have to scroll to.
        """
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        file = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=file, full_page=whole)
        return file

    def draw(self, name: str, *, height: int = SIZE["height"]) -> None:
        """Keep a screenshot as :meth:`shoot` does; with ``WRITE=1`` it is a picture of the documentation from now on.

        Args:
            name: Its name.
            height: Height of the window in pixels.
        """
        self.page.set_viewport_size({**SIZE, "height": height})
        file = self.shoot(name)
        if os.environ.get("WRITE"):
            PICTURES.mkdir(exist_ok=True)
            shutil.copy(file, PICTURES)
