"""Remembers which rollout files are known to be good, so that a large fleet is not checked anew on each reading.

A stamp says of a file's exact content: it is valid, and these rollouts are in it. It holds no part of a rollout: what
runs always comes from the file itself, so a wrong stamp could hide an error and change nothing else. Stamps are JSON
under a checksum. One that is damaged, of other code, or of another user counts as none; a folder that cannot be written
costs only time. Several processes may write at once: the last one's file stays, whole.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import time
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pydantic

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.config.regular_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

log = logging.getLogger(__name__)

VARIABLE = "AIRFLOW__LAUNCHDARKLY__ROLLOUT_CACHE"
"""The environment variable of the setting, which Airflow reads as ``[launchdarkly] rollout_cache``."""

OFF = "off"
"""The setting that remembers nothing."""

_FORMAT = 1
# What takes part in checking a file.
_ROOMS = ("api/models", "change_windows", "config", "decision", "evidence", "operators", "rollout", "templates")
# A file that changed within this time before it was read may change again and keep its times.
_TICK = 2_000_000_000


@dataclass(frozen=True, slots=True)
class Stamp:
    """The knowledge about one content of a file.

    Attributes:
        digest: Digest of the content.
        rollouts: Name and line of each rollout; none for a file of metrics.
        until: Unix time, in seconds, until which the content is valid: a change window may have no opening after it.
        needs: Digest of each other file that it names, by path.
        concerns: The concerns about each rollout; None if nobody asked for them.
        is_metrics: Whether it holds metrics only.
        signature: Inode, size and times of the file; None if it had changed just before it was read.
    """

    digest: str
    rollouts: tuple[tuple[str, int], ...]
    until: float
    needs: Mapping[str, str] = field(default_factory=dict)
    concerns: tuple[tuple[str, ...], ...] | None = None
    is_metrics: bool = False
    signature: tuple[int, ...] | None = None

    @classmethod
    def of(cls, value: Any) -> Stamp:
        """Read a stamp from JSON.

        Raises:
            TypeError: It is none.
            ValueError: It is none.
        """
        value = dict(value)
        value["rollouts"] = tuple((str(name), int(line)) for name, line in value["rollouts"])
        if value["concerns"] is not None:
            value["concerns"] = tuple(tuple(map(str, each)) for each in value["concerns"])
        if value["signature"] is not None:
            value["signature"] = tuple(map(int, value["signature"]))
        return cls(**value)


class KnownGood:
    """The stamps of files, in one file for each folder of rollouts.

    Args:
        root: Where they are kept.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        # As JSON: a task looks at thousands of stamps, and a whole one takes longer to make than the search for a name.
        self._folders: dict[str, dict[str, Any]] = {}
        self._fresh: dict[str, dict[str, Stamp]] = {}
        self._digests: dict[str, str | None] = {}

    @classmethod
    def configured(cls, setting: str | None = None) -> KnownGood | None:
        """Return the stamps by the setting: a folder, ``off``, or empty for the user's own cache folder.

        Args:
            setting: The setting; None reads it from the environment.
        """
        setting = os.environ.get(VARIABLE, "") if setting is None else setting
        if setting.strip().lower() == OFF:
            return None
        if setting.strip():
            return cls(Path(setting.strip()))
        try:
            home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        except RuntimeError:  # a user without a home
            return None
        return cls(home / "airflow-provider-launchdarkly")

    def rules_out(self, file: Path, name: str) -> bool:
        """Return whether a file that has not changed since it was stamped holds no rollout of this name."""
        path = str(file)
        folder, base = os.path.split(path)
        stamp = self._stamps(folder).get(base)
        try:
            if stamp is None or any(known == name for known, _ in stamp["rollouts"]):
                return False
            return bool(stamp["signature"] == list(signature(os.stat(path))))  # noqa: PTH116 - a fifth of Path.stat's time
        except (OSError, TypeError, ValueError, KeyError):
            return False

    def find(self, file: Path, digest: str) -> Stamp | None:
        """Return the stamp of a file with this content, if it still holds."""
        found = self._stamps(os.path.dirname(file)).get(file.name)  # noqa: PTH120 - as text
        try:
            stamp = None if found is None else Stamp.of(found)
        except (TypeError, ValueError, KeyError):
            return None
        if stamp is None or stamp.digest != digest or stamp.until < time.time():
            return None
        if any(self.digest_of(path) != known for path, known in stamp.needs.items()):
            return None
        return stamp

    def add(self, file: Path, stamp: Stamp) -> None:
        """Remember a stamp; `save` writes it."""
        self._fresh.setdefault(os.path.dirname(file), {})[file.name] = stamp  # noqa: PTH120 - as text

    def digest_of(self, path: str) -> str | None:
        """Return the digest of another file's content, None if it cannot be read. Each is read once."""
        if path not in self._digests:
            try:
                with open_regular(path) as file:
                    self._digests[path] = digest(file.read())
            except (OSError, ValueError):
                self._digests[path] = None
        return self._digests[path]

    def save(self) -> None:
        """Write the new stamps beside those that other processes have written meanwhile."""
        for folder, fresh in self._fresh.items():
            stamps = {**self._read(folder), **{name: asdict(stamp) for name, stamp in fresh.items()}}
            kept = {name: stamp for name, stamp in stamps.items() if os.path.lexists(os.path.join(folder, name))}  # noqa: PTH118
            try:
                self._write(folder, kept)
            except OSError as error:
                log.debug("what is known of %s is not kept: %s", folder, error)
        self._fresh = {}

    def _stamps(self, folder: str) -> dict[str, Any]:
        if folder not in self._folders:
            self._folders[folder] = self._read(folder)
        return self._folders[folder]

    def _place(self, folder: str) -> Path:
        return self._root / f"rollouts-{digest(os.fsencode(os.path.abspath(folder)))}.json"  # noqa: PTH100 - keeps links

    def _read(self, folder: str) -> dict[str, Any]:
        try:
            with self._place(folder).open("rb") as file:
                if not _is_ours(os.fstat(file.fileno())):
                    return {}
                checksum, _, text = file.read().partition(b"\n")
            if checksum.decode("ascii") != digest(text):
                return {}
            content = json.loads(text)
            if content["made_by"] != _made_by():
                return {}
            return dict(content["files"])
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return {}

    def _write(self, folder: str, stamps: Mapping[str, Any]) -> None:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        content = {"made_by": _made_by(), "files": stamps}
        text = json.dumps(content, separators=(",", ":")).encode()
        place = self._place(folder)
        half = place.with_suffix(f".{os.getpid()}-{os.urandom(4).hex()}")
        try:
            with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:  # noqa: PTH123 - with a mode
                file.write(digest(text).encode("ascii") + b"\n" + text)
            half.replace(place)
        finally:
            with contextlib.suppress(OSError):
                half.unlink(missing_ok=True)


def digest(content: bytes) -> str:
    """Return the digest by which a content is known."""
    return blake2b(content, digest_size=20).hexdigest()


def signature(found: os.stat_result) -> tuple[int, ...]:
    """Return what changes with a file's content: inode, size, and the times of its content and of its entry."""
    return found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def is_settled(found: os.stat_result, read_at: int) -> bool:
    """Return whether a file had not changed just before it was read, at a time in nanoseconds."""
    return max(found.st_mtime_ns, found.st_ctime_ns) < read_at - _TICK


def _is_ours(found: os.stat_result) -> bool:
    """Return whether only this user could have written a file."""
    return not hasattr(os, "geteuid") or (found.st_uid == os.geteuid() and not found.st_mode & 0o022)


@lru_cache(maxsize=1)
def _made_by() -> list[Any]:
    """Return what a stamp depends on beside the file: the code that checks it."""
    package = str(Path(__file__).parent.parent)
    code = sorted(line for room in _ROOMS for line in _modules(f"{package}/{room}"))
    return [_FORMAT, __version__, digest("".join(code).encode()), sys.version, pydantic.VERSION]


def _modules(folder: str) -> Iterator[str]:
    """Yield the path, size and time of each module in a folder."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _modules(entry.path)
            elif entry.name.endswith(".py"):
                found = entry.stat()
                yield f"{entry.path} {found.st_size} {found.st_mtime_ns}\n"
