"""The record itself: one line of JSON for each look, each with the hash of the line before. Pure.

A line is its entry's canonical JSON, byte for byte. Whoever changes, drops or moves a line breaks the chain at a line
that can be named; who cuts lines off the end is found out by the head hash, which the task's XCom and log hold.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "launchdarkly-decision/1"

FIELDS = (
    "schema",
    "seq",
    "at",
    "target",
    "source",
    "policy",
    "evidence",
    "verdict",
    "repeats",
    "previous",
    "hash",
)


class BrokenRecordError(ValueError):
    """The record is not what was written.

    Attributes:
        line: Number of the first line that does not fit, from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Content:
    """What an entry says, all of it plain JSON.

    Attributes:
        at: When, by LaunchDarkly's clock, ISO 8601.
        target: Project, environment, experiment and iteration.
        source: ``launchdarkly`` or ``sql``.
        policy: The whole policy.
        evidence: What was measured; None where the verdict follows from the experiment's state alone.
        verdict: What was decided.
    """

    at: str
    target: Mapping[str, str]
    source: str
    policy: Mapping[str, Any]
    evidence: Mapping[str, Any] | None
    verdict: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As it will be read back: through JSON once, so that equal content is equal, tuple or list."""
        content = {
            "at": self.at,
            "target": self.target,
            "source": self.source,
            "policy": self.policy,
            "evidence": self.evidence,
            "verdict": self.verdict,
        }
        plain: dict[str, Any] = json.loads(canonical(content))
        return plain

    def same_look(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry is about the same look of the same plan."""
        look = self.verdict.get("look")
        return look is not None and entry["verdict"].get("look") == look and entry["policy"] == self.policy

    def same(self, entry: Mapping[str, Any]) -> bool:
        """Whether an entry says just this."""
        return all(entry[name] == value for name, value in self.to_json().items() if name != "at")


def canonical(value: Any) -> str:
    """JSON in its one form: sorted keys, no spaces, text as it is, finite numbers only.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def append(entries: Sequence[Mapping[str, Any]], content: Content) -> tuple[dict[str, Any], ...]:
    """The record with one more look.

    Safe to repeat: content that is on record already changes nothing. The same look with other content (decided again
    later, on data that came in meanwhile) is a new entry whose ``repeats`` names the earlier one's number.

    Args:
        entries: The record so far, verified.
        content: What to add.

    Returns:
        The record after it.
    """
    known = [dict(entry) for entry in entries]
    if any(content.same(entry) for entry in known):
        return tuple(known)
    plain = content.to_json()
    repeats = next((entry["seq"] for entry in known if content.same_look(entry)), None)
    entry = {
        "schema": SCHEMA,
        "seq": len(known) + 1,
        **plain,
        "repeats": repeats,
        "previous": known[-1]["hash"] if known else None,
    }
    return (*known, {**entry, "hash": hash_of(entry)})


def hash_of(entry: Mapping[str, Any]) -> str:
    """SHA-256 over the canonical JSON of everything but the hash itself, in hexadecimal."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def write(entries: Sequence[Mapping[str, Any]]) -> str:
    """The record as text."""
    return "".join(f"{canonical(entry)}\n" for entry in entries)


def read(text: str) -> tuple[dict[str, Any], ...]:
    """Read a record and verify it.

    Raises:
        BrokenRecordError: A line is not the one that was written; the message names the first such line.
    """
    if text and not text.endswith("\n"):
        raise BrokenRecordError(text.count("\n") + 1, "it is cut off")
    entries: list[dict[str, Any]] = []
    # Only at line feeds: other characters that Python takes for line ends may stand in a name.
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        entries.append(_entry(number, line, entries[-1] if entries else None))
    return tuple(entries)


def _entry(number: int, line: str, before: Mapping[str, Any] | None) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise BrokenRecordError(number, f"it is no JSON ({error.msg})") from None
    if not isinstance(entry, dict) or set(entry) != set(FIELDS):
        raise BrokenRecordError(number, "it is no entry of a decision record")
    if entry["schema"] != SCHEMA:
        raise BrokenRecordError(number, f"its schema is {entry['schema']!r}; this version reads {SCHEMA!r}")
    previous = before["hash"] if before else None
    if entry["seq"] != number or entry["previous"] != previous:
        raise BrokenRecordError(number, "it does not follow the line before: a line was removed, added or moved")
    try:
        as_written = canonical(entry)
    except ValueError:
        raise BrokenRecordError(number, "it has a number that is not finite") from None
    if entry["hash"] != hash_of(entry) or line != as_written:
        raise BrokenRecordError(number, "its hash does not fit its content: it was changed")
    return entry
