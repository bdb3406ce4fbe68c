"""What `make demo` prints for a person who goes on by hand."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from support.surroundings import REPOSITORY


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY / "tests" / "stack"))
    return importlib.import_module("demo")


def test_a_demo_that_is_left_up_says_how_to_go_on(demo: Any) -> None:
    told = demo.left_up("http://127.0.0.1:8080", "http://127.0.0.1:8700")
    assert "clock stands still" in told
    assert """curl http://127.0.0.1:8700/__emulator__/clock --json '{"advance": "P1D"}'""" in told
    assert "curl http://127.0.0.1:8700/__emulator__/reset --json ''" in told
    assert f"login {demo.USER}, password {demo.PASSWORD}" in told


def test_the_login_is_printed_before_the_run(demo: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class StartedError(Exception):
        pass

    class Stack:
        def __init__(self, dags: Any, environment: Any) -> None:
            self.home, self.url, self.environment = dags, "http://127.0.0.1:8080", {}  # type: ignore[var-annotated]

        def __enter__(self) -> Any:
            raise StartedError

        def __exit__(self, *_: object) -> None: ...

    class Emulator:
        url = connection = "http://127.0.0.1:8700"

        def __init__(self, *_: object, **__: object) -> None: ...

        def stop(self) -> None: ...

    said: list[str] = []
    monkeypatch.setattr(demo, "AirflowStack", Stack)
    monkeypatch.setattr(demo, "Emulator", Emulator)
    monkeypatch.setattr(demo, "say", said.append)
    with pytest.raises(StartedError):
        demo.run_demo("effect", 42, keep=True)
    assert any(f"login {demo.USER}, password {demo.PASSWORD}" in line for line in said)
