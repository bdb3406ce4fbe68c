"""LaunchDarkly's published Python clients, driven from here: one process each, in an environment of its own.

Every answer is held against the model that the client read it into: nothing that the model knows may be lost, and
nothing may be there that neither its version nor the newest has published.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytest
from typing_extensions import override

from contract.environments import python_with_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.wire import Wire

VERSIONS = ("17.1.0", "17.2.0", "25.0.1")
SEMANTIC_PATCH = "application/json; domain-model=launchdarkly.semanticpatch"

OBSERVED_FIELDS = frozenset({"ExperimentAllocationRep.type"})
"""Fields that the live service was seen to send and that no version's models have."""


class ContractError(AssertionError):
    """An official client did not take what the emulator answered, or would not send what it was asked to."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a client made of an answer.

    Attributes:
        status: the HTTP status.
        model: the class that the client read the body into.
        value: that object as plain JSON, with LaunchDarkly's names.
        raw: the body.
        headers: lower-case names.
    """

    status: int
    model: str
    value: Any
    raw: Any = field(repr=False)
    headers: dict[str, str] = field(repr=False)

    def __getitem__(self, name: str) -> Any:
        return self.value[name]


@dataclass
class Refusal(Exception):  # noqa: N818 - what LaunchDarkly answers is no fault of the tests
    """A client raised its exception for an answer above 299.

    Attributes:
        raised: the exception's class.
        status: the HTTP status.
        code: LaunchDarkly's code for the error.
        message: its text.
        support_id: the id to tell LaunchDarkly's support.
        model: the class that the client read the body into; the old generator has none.
    """

    raised: str
    status: int
    code: str
    message: str
    support_id: str
    model: str | None

    @override
    def __str__(self) -> str:
        return f"{self.raised}: {self.status} {self.code}: {self.message}"


def refused(status: int) -> pytest.RaisesExc[Refusal]:
    """Expect that a client raises its exception for this status."""
    return pytest.raises(Refusal, check=lambda found: found.status == status)


class ClientProcess:
    """An official client in its own interpreter. It starts on first use, and lives as long as the test session."""

    def __init__(self, version: str):
        self.version = version
        self._stderr: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the process
        self._process: subprocess.Popen[str] | None = None

    def ask(self, asked: dict[str, Any]) -> Any:
        """Have something done in the process and wait for it."""
        if self._process is None:
            self._process = subprocess.Popen(
                [python_with_client(self.version), "-I", Path(__file__).with_name("drive.py")],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                text=True,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            self._stderr.seek(0)
            raise ContractError(f"launchdarkly-api {self.version} ended at {asked}:\n{self._stderr.read()}")
        return json.loads(line)

    def publishes(self, field: str) -> bool:
        """Whether this version's models have a field, written `Model.field`."""
        model, _, name = field.partition(".")
        return field in OBSERVED_FIELDS or name in self._fields(model)

    @cache  # noqa: B019 - a few processes, which live as long as the session
    def _fields(self, model: str) -> frozenset[str]:
        return frozenset(self.ask({"do": "fields", "model": model}))

    def end(self) -> None:
        """Let the process end by itself: its input is over."""
        if self._process is not None:
            self._process.communicate(timeout=30)
        self._stderr.close()


class OfficialClient:
    """One official client, set up for one emulator.

    APIs and methods are named as in the client, so `client.experiments.get_experiment(project_key=…)` calls
    `ExperimentsApi.get_experiment`. Bodies are plain JSON; the client turns them into its own models.

    Args:
        process: which version.
        newest: the newest version; fields that came after `process` are looked up in its models.
        emulator: whom to call.
        token: as whom; the emulator's own token if None.
        api_version: of the header `LD-API-Version`; None leaves the client's default, which is none up to 17.2.0.

    Attributes:
        version: the client's.
        used: the methods called so far, by API.
    """

    def __init__(
        self,
        process: ClientProcess,
        newest: ClientProcess,
        emulator: EmulatorServer | Wire,
        *,
        token: str | None = None,
        api_version: str | None = "beta",
    ):
        self.version = process.version
        self._process = process
        self._newest = newest
        self._emulator = emulator
        self._token = token or emulator.token
        self._api_version = api_version
        self.used: dict[str, set[str]] = defaultdict(set)

    def __getattr__(self, api: str) -> _Api:
        if api.startswith("_"):
            raise AttributeError(api)
        return _Api(self, api)

    def like(self, *, token: str | None = None, api_version: str | None = "beta") -> OfficialClient:
        """The same client with another token or header."""
        return OfficialClient(self._process, self._newest, self._emulator, token=token, api_version=api_version)

    @property
    def generation(self) -> int:
        """17 or 25."""
        return int(self.version.partition(".")[0])

    def methods(self, api: str) -> list[str]:
        """The names of an API's methods."""
        names: list[str] = self._process.ask({"do": "methods", "api": api})
        return names

    def call(self, api: str, method: str, content_type: str | None, arguments: dict[str, Any]) -> Answer:
        """Call a method, and check that its model holds all of the answer.

        Raises:
            Refusal: the client raised its exception for an error answer.
            ContractError: it would not send this, could not read the answer, or lost some of it.
        """
        self.used[api].add(method)
        told = self._process.ask(
            {
                "do": "call",
                "url": self._emulator.url,
                "token": self._token,
                "api_version": self._api_version,
                "api": api,
                "method": method,
                "arguments": arguments,
                "content_type": content_type,
            }
        )
        self._check(told, f"launchdarkly-api {self.version} {api}.{method}", f"asked with {arguments}")
        return Answer(
            status=told["status"],
            model=told["model"],
            value=told["value"],
            raw=told["raw"],
            headers=told["headers"],
        )

    def _check(self, told: dict[str, Any], name: str, asked: str) -> None:
        if "refused" in told:
            raise ContractError(f"{name}: {told['refused']}\n{asked}")
        if "raised" in told:
            raise _refusal(name, told)
        invented = sorted(field for field in told["unknown"] if not self._newest.publishes(field))
        if invented:
            raise ContractError(f"{name}: the answer has fields that no client knows: {invented}\n{asked}")
        lost = sorted(_lost(told["raw"], told["value"], {field.partition(".")[2] for field in told["unknown"]}))
        if lost:
            raise ContractError(f"{name}: lost on the way into {told['model']}: {lost}\n{asked}\n{told['raw']}")


@dataclass(frozen=True, slots=True)
class _Api:
    client: OfficialClient
    name: str

    def __getattr__(self, method: str) -> Callable[..., Answer]:
        def call(*, content_type: str | None = None, **arguments: Any) -> Answer:
            return self.client.call(self.name, method, content_type, arguments)

        return call


def _refusal(name: str, told: dict[str, Any]) -> Exception:
    body, typed = told["body"], told["data"]
    if not isinstance(body, dict) or not {"code", "message", "id"} <= body.keys():
        return ContractError(f"{name}: {told['raised']} without code, message and id: {told}")
    if typed is not None and typed["value"] != {name: value for name, value in body.items() if name != "id"}:
        return ContractError(f"{name}: {typed['model']} reads {typed['value']}, the body says {body}")
    return Refusal(
        raised=told["raised"],
        status=told["status"],
        code=body["code"],
        message=body["message"],
        support_id=body["id"],
        model=typed["model"] if typed is not None else None,
    )


def _lost(raw: Any, read: Any, unknown: set[str], where: str = "") -> list[str]:
    """Where a client's object differs from the body that it was read from, apart from fields that it does not know."""
    if isinstance(raw, dict) and isinstance(read, dict):
        return [
            place
            for name, value in raw.items()
            if not (name not in read and (value is None or name in unknown))
            for place in _lost(value, read.get(name), unknown, f"{where}.{name}")
        ]
    if isinstance(raw, list) and isinstance(read, list) and len(raw) == len(read):
        return [
            place
            for index, (value, other) in enumerate(zip(raw, read, strict=True))
            for place in _lost(value, other, unknown, f"{where}[{index}]")
        ]
    return [] if raw == read or _same_instant(raw, read) else [f"{where}: {raw!r} became {read!r}"]


def _same_instant(raw: Any, read: Any) -> bool:
    """Whether both are the same time; the clients write UTC as `+00:00` where LaunchDarkly writes `Z`."""
    try:
        return datetime.fromisoformat(raw) == datetime.fromisoformat(read)
    except (TypeError, ValueError):
        return False
