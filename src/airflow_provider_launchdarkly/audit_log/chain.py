"""The lines of a decision record: one JSON object for each decision, each with the hash of the line before.

A line is its entry's canonical JSON, byte for byte. A changed, dropped or moved line breaks the chain, and the error
names the line. Lines cut off the end are found with the head hash, which the task's XCom and log hold.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEMA = "launchdarkly-decision/1"
"""Name of the entries' schema.

Within a schema, fields are only added. A reader ignores unknown fields of an entry, its evidence or its verdict, and
takes the default for those that an older entry lacks; so a new field of `Evidence` or `Policy` needs a default with
which old entries are judged as before. A policy with an unknown field is not judged: it may demand what this version
cannot do. To remove a field, change a meaning, rename a `Reason` or hash otherwise takes a new schema.
"""

# The fields of an entry of this schema, each of which is required.
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
    """The record differs from what was written.

    Attributes:
        line: Number of the first line that does not fit, from 1.
    """

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(f"line {line}: {problem}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision that goes on record, as plain JSON.

    Attributes:
        at: Time of the decision by LaunchDarkly's clock, ISO 8601.
        target: Project, environment, experiment and iteration.
        source: ``launchdarkly`` or ``sql``.
        policy: The whole policy.
        evidence: The measured numbers; None where the verdict follows from the experiment's state alone.
        verdict: The verdict.
    """

    at: str
    target: Mapping[str, str]
    source: str
    policy: Mapping[str, Any]
    evidence: Mapping[str, Any] | None
    verdict: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the decision as it will be read back: passed through JSON once, so that tuples are lists."""
        fields = {
            "at": self.at,
            "target": self.target,
            "source": self.source,
            "policy": self.policy,
            "evidence": self.evidence,
            "verdict": self.verdict,
        }
        plain: dict[str, Any] = json.loads(canonical(fields))
        return plain

    def is_of_same_look(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry is about the same look of the same policy."""
        look = self.verdict.get("look")
        return look is not None and entry["verdict"].get("look") == look and entry["policy"] == self.policy

    def is_recorded_in(self, entry: Mapping[str, Any]) -> bool:
        """Return whether an entry records this decision, whenever it was made."""
        return all(entry[name] == value for name, value in self.to_json().items() if name != "at")


def canonical(value: Any) -> str:
    """Write canonical JSON: sorted keys, no spaces, UTF-8 unescaped, finite numbers only.

    Raises:
        ValueError: A number is not finite.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def append(entries: Sequence[Mapping[str, Any]], decision: Decision) -> tuple[dict[str, Any], ...]:
    """Add a decision to a record.

    Safe to repeat: a decision that is on record already changes nothing. The same look decided again on newer data is a
    new entry whose ``repeats`` holds the earlier one's number.

    Args:
        entries: The record so far, verified.
        decision: The decision to add.

    Returns:
        The new record.
    """
    known = [dict(entry) for entry in entries]
    if any(decision.is_recorded_in(entry) for entry in known):
        return tuple(known)
    repeats = next((entry["seq"] for entry in known if decision.is_of_same_look(entry)), None)
    entry = {
        "schema": SCHEMA,
        "seq": len(known) + 1,
        **decision.to_json(),
        "repeats": repeats,
        "previous": known[-1]["hash"] if known else None,
    }
    return (*known, {**entry, "hash": hash_of(entry)})


def hash_of(entry: Mapping[str, Any]) -> str:
    """Return the SHA-256 of an entry's canonical JSON without its ``hash``, in hexadecimal."""
    content = {name: value for name, value in entry.items() if name != "hash"}
    return hashlib.sha256(canonical(content).encode()).hexdigest()


def write(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the record as text."""
    return "".join(f"{canonical(entry)}\n" for entry in entries)


def read(text: str) -> tuple[dict[str, Any], ...]:
    """Read a record and verify it.

    Raises:
        BrokenRecordError: A line differs from what was written; the message names the first such line.
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
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, thousands of brackets
        raise BrokenRecordError(number, f"it is no JSON that this version reads ({error})") from None
    if not isinstance(entry, dict) or not set(FIELDS) <= set(entry):
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
    except RecursionError:
        raise BrokenRecordError(number, "it is nested too deeply") from None
    if entry["hash"] != hash_of(entry) or line != as_written:
        raise BrokenRecordError(number, "its hash does not fit its content: it was changed")
    return entry
