"""Hunts a secret in all that a run leaves behind: files, database, REST answers; in each form that it may have there.

A hunt that finds nothing proves something only if it looks everywhere. So whoever hunts a token also hunts, in the same
places, for a text that is known to be there.
"""

from __future__ import annotations

import base64
import contextlib
import html
import re
import sqlite3
import zlib
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import httpx
import yaml
from cryptography.fernet import Fernet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from stack.airflow_stack import AirflowStack

ENCRYPTED = "gAAAA"
# Paths whose GET changes something or has no end.
LEFT_OUT = ("/api/v2/auth/login", "/api/v2/auth/logout")
# What Airflow wants to know beside the path.
QUERY = {"interval": 1, "start_date": "2020-01-01T00:00:00Z", "partition_key": "none"}


def forms(secret: str) -> dict[str, set[bytes]]:
    """Each way in which a secret may be written down, by the name of the form."""
    # JSON in JSON doubles backslashes at each level, so this form is looked for where all of them are left out.
    bare = secret.replace("\\", "")
    quoted = {quote(secret, safe=""), quote(secret), quote_plus(secret)}
    return {
        "plain": {secret.encode()},
        "JSON-escaped": {bare.encode(), bare.replace("&", "u0026").encode(), html.escape(bare).encode()},
        "URL-encoded": {text.encode() for text in quoted | {_lower_hex(text) for text in quoted}},
        "base64": {text for altchars in (b"+/", b"-_") for text in _base64_anywhere(secret.encode(), altchars)},
    }


def _lower_hex(quoted: str) -> str:
    return re.sub("%..", lambda found: found[0].lower(), quoted)


def _base64_anywhere(secret: bytes, altchars: bytes) -> Iterator[bytes]:
    """What stays of a secret in the base64 of a longer text: there are three ways in which it may be aligned."""
    for before, changed in enumerate((0, 2, 3)):
        encoded = base64.b64encode(b"\0" * before + secret, altchars)
        yield encoded[changed : (before + len(secret)) * 8 // 6]


class Hunt:
    """The places where a secret was looked for, and those where it was.

    Args:
        secrets: What is hunted, by its name.
    """

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._needles = {
            (name, form): needles for name, secret in secrets.items() for form, needles in forms(secret).items()
        }
        self.places: list[str] = []
        self._found: dict[tuple[str, str], set[str]] = {}

    def look(self, place: str, content: str | bytes) -> None:
        """Look for each form of each secret."""
        self.places.append(place)
        text = content.encode(errors="surrogateescape") if isinstance(content, str) else content
        bare = text.replace(b"\\", b"")
        for needle, written in self._needles.items():
            if any(one in (bare if needle[1] == "JSON-escaped" else text) for one in written):
                self._found.setdefault(needle, set()).add(place)

    def found(self, name: str, form: str | None = None) -> set[str]:
        """The places that hold a secret, in one form or in any."""
        return {
            place
            for (secret, written), places in self._found.items()
            if secret == name and form in {None, written}
            for place in places
        }

    def look_at_files(self, kind: str, folder: Path) -> None:
        """Look at every file below a folder."""
        for path in folder.rglob("*"):
            if path.is_file():
                self.look(f"{kind} {path.relative_to(folder)}", path.read_bytes())

    def look_at_database(self, stack: AirflowStack) -> None:
        """Look at every cell of Airflow's database; what is encrypted is decrypted, unless it is a connection."""
        decrypt = Fernet(stack.environment["AIRFLOW__CORE__FERNET_KEY"]).decrypt
        with contextlib.closing(sqlite3.connect(stack.home / "airflow.db", timeout=30)) as database:
            names = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            for name in names:
                rows = database.execute(f'SELECT * FROM "{name}"').fetchall()
                cells = [cell for row in rows for cell in row if isinstance(cell, str | bytes)]
                self.look(f"table {name}", b"\n".join(_read(cell, name, decrypt) for cell in cells))

    def walk(self, stack: AirflowStack, parameters: list[dict[str, Any]]) -> set[str]:
        """Look at the answer to each GET that Airflow's API has, the UI's included; returns the paths that answered.

        Args:
            stack: The Airflow.
            parameters: Values of path parameters that belong together; each path takes all sets that have its own.
        """
        answered = set()
        for path, wanted in _gets():
            names = set(re.findall(r"\{(\w+)\}", path))
            needed = names | (wanted & {"dag_id"})
            sets = [{name: values[name] for name in needed} for values in parameters if needed <= values.keys()]
            for values in {tuple(sorted(values.items())): values for values in sets}.values():
                query = {name: values.get(name) or QUERY.get(name) for name in wanted}
                url = path.format(**{name: quote(str(value), safe="") for name, value in values.items()})
                for content in _pages(stack, url, query):
                    answered.add(path)
                    self.look(f"GET {path}", content)
        return answered


def _read(cell: str | bytes, table: str, decrypt: Callable[[bytes], bytes]) -> bytes:
    text = cell.encode() if isinstance(cell, str) else cell
    text = text.strip(b'"')
    if text.startswith(ENCRYPTED.encode()) and table != "connection":
        return decrypt(text)
    with contextlib.suppress(zlib.error):
        return zlib.decompress(text)
    return text


def _gets() -> list[tuple[str, set[str]]]:
    """Each path that answers GET, with the names of the query parameters that it requires."""
    specifications = resources.files("airflow.api_fastapi.core_api.openapi")
    found = []
    for name in ("v2-rest-api-generated.yaml", "_private_ui.yaml"):
        paths = yaml.load((specifications / name).read_text(), Loader=yaml.CSafeLoader)["paths"]
        for path, operations in paths.items():
            if "get" in operations and path not in LEFT_OUT:
                parameters = operations["get"].get("parameters", [])
                required = {one["name"] for one in parameters if one["in"] == "query" and one.get("required")}
                found.append((path, required))
    return found


def _pages(stack: AirflowStack, url: str, query: dict[str, Any]) -> Iterator[bytes]:
    """The answers to a GET, page by page where it is a list; none if Airflow has nothing there."""
    offset, total = 0, 1
    while offset < total:
        answer = _get(stack, url, {**query, **({"offset": offset} if offset else {})})
        if answer.status_code != 200:
            return
        yield answer.content + b"\n" + str(dict(answer.headers)).encode()
        content = None
        with contextlib.suppress(ValueError):  # some answers are lines of JSON, or text
            content = answer.json()
        if not isinstance(content, dict) or "total_entries" not in content:
            return
        total = content["total_entries"]
        offset += max((len(value) for value in content.values() if isinstance(value, list)), default=total) or total


def _get(stack: AirflowStack, url: str, query: dict[str, Any]) -> httpx.Response:
    """The answer to a GET, asked again if the API server ends the connection, as after some streamed answers."""
    for _ in range(3):
        with contextlib.suppress(httpx.TransportError):
            return stack.request("GET", url, **query)
    raise AssertionError(f"the API server does not answer GET {url} {query}")
