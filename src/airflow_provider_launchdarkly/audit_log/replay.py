"""Decides a record again, offline: by the policies on record, or by another one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.audit_log.older_policies import as_judged
from airflow_provider_launchdarkly.audit_log.store import looks_in
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, field_name, flatten_errors
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json
from airflow_provider_launchdarkly.decision.information import known_looks
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.schedule import due_look, schedule_looks
from airflow_provider_launchdarkly.decision.verdict import Kind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence

# Two verdicts of one policy agree if these fields are equal. Numbers may gain a digit from one version of this package
# to the next. A verdict or a reason keeps its name as long as the schema does (`chain.SCHEMA`): renamed, each record
# that has the old name would disagree.
DECISIVE = ("verdict", "reason", "treatment_id", "harmed")

# Two policies agree if they lead to the same action.
DONE = ("verdict", "treatment_id")

FROM_STATE = "follows from the experiment's state"


class UnreadableEntryError(ValueError):
    """An entry whose policy or evidence this version cannot judge, though the chain is whole."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """An entry, decided again.

    Attributes:
        seq: The entry's number.
        look: Number of the look in the recorded policy; None where the entry rests on no evidence.
        day: Days since the iteration's start.
        recorded: The verdict on record.
        again: The verdict now; None where nothing is decided: no look of the other policy is due, or it has ended.
        agrees: Whether the verdicts agree; true where nothing is decided.
        note: Why the entry is not decided by its evidence; empty otherwise.
    """

    seq: int
    look: int | None
    day: float
    recorded: Mapping[str, Any]
    again: Mapping[str, Any] | None
    agrees: bool
    note: str = ""

    @property
    def ends(self) -> bool:
        """True if it is decided now, and not a wait."""
        return self.again is not None and self.again["verdict"] != Kind.WAIT


@dataclass(frozen=True, slots=True)
class Replay:
    """A record, decided again.

    Attributes:
        looks: The entries.
        policy: The other policy; None for the policies on record.
    """

    looks: tuple[Replayed, ...]
    policy: Policy | None

    @property
    def agrees(self) -> bool:
        """True if every entry agrees; with another policy, if both end alike at the same entry."""
        if self.policy is None:
            return all(look.agrees for look in self.looks)
        then, now = self.recorded_end, self.end
        if then is None or now is None:
            return then is now
        return then is now and now.agrees

    @property
    def recorded_end(self) -> Replayed | None:
        """The entry with the ending on record."""
        return next((look for look in self.looks if look.recorded["verdict"] != Kind.WAIT), None)

    @property
    def end(self) -> Replayed | None:
        """The entry that ends it now."""
        return next((look for look in self.looks if look.ends), None)

    def to_json(self) -> dict[str, Any]:
        """Return the replay as plain JSON."""
        return {
            "agrees": self.agrees,
            "policy": self.policy.to_json() if self.policy else None,
            "recorded": _ending(self.recorded_end.recorded if self.recorded_end else None),
            "replayed": _ending(self.end.again if self.end else None),
            "looks": [
                {
                    "seq": look.seq,
                    "look": look.look,
                    "day": look.day,
                    "recorded": _ending(look.recorded),
                    "replayed": _ending(look.again),
                    "agrees": look.agrees,
                    "note": look.note,
                }
                for look in self.looks
            ],
        }


def _ending(verdict: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if verdict is None else {name: verdict.get(name) for name in (*DECISIVE, "treatment", "elapsed_days")}


def replay(entries: Sequence[Mapping[str, Any]], policy: Policy | None = None) -> Replay:
    """Decide every entry again.

    An entry holds everything that its verdict rests on, the earlier looks included. Fields of the policy that did not
    exist when it was written have the value by which it was judged (`older_policies.BEFORE`).

    The verdict of an entry without evidence follows from the experiment's state (stopped, replaced) and stays, whatever
    the policy. Another policy is judged at its own looks, with the looks on record as its history: an entry at which
    none is due is skipped, and nothing follows after its first ending. Looks that are not on record cannot be judged.

    Args:
        entries: A verified record.
        policy: Another policy; None decides each entry by the policy on record.

    Raises:
        UnreadableEntryError: This version cannot judge an entry; the message names it.
    """
    if policy is None:
        return Replay(tuple(_decide_by_recorded_policy(entry) for entry in entries), None)
    return Replay(tuple(_decide_by(policy, entries)), policy)


def _decide_by_recorded_policy(entry: Mapping[str, Any]) -> Replayed:
    if entry["evidence"] is None:
        return _replayed(entry, entry["verdict"], DECISIVE, FROM_STATE)
    return _replayed(entry, _decide(entry, None, _evidence(entry)), DECISIVE)


def _decide_by(policy: Policy, entries: Sequence[Mapping[str, Any]]) -> list[Replayed]:
    found: list[Replayed] = []
    previous = timedelta()
    ended = False
    for number, entry in enumerate(entries):
        before = entries[:number]
        if ended:
            found.append(_replayed(entry, None, DONE, "after the end"))
        elif entry["evidence"] is None:
            found.append(_replayed(entry, entry["verdict"], DONE, FROM_STATE))
        else:
            evidence = _evidence(entry)
            if not _looks_at(policy, evidence, previous):
                found.append(_replayed(entry, None, DONE, "no look of this policy"))
                continue
            previous = previous if evidence.only_harm else evidence.elapsed
            schedule = schedule_looks(policy, evidence.started_at)
            evidence = evidence._replace(earlier=known_looks(schedule, looks_in(before), evidence))
            found.append(_replayed(entry, _decide(entry, policy, evidence), DONE))
        ended = ended or found[-1].ends
    return found


def _looks_at(policy: Policy, evidence: Evidence, previous: timedelta) -> bool:
    """Return whether the policy would have taken this look."""
    if evidence.only_harm:
        return policy.harm_looks is not None or not evidence.metrics
    return due_look(policy, evidence.elapsed, previous=previous, started_at=evidence.started_at) is not None


def _decide(entry: Mapping[str, Any], policy: Policy | None, evidence: Evidence) -> dict[str, Any]:
    try:
        return decide(policy or Policy.from_json(as_judged(entry["policy"])), evidence).to_json()
    except InvalidSettingError as error:
        problems = "; ".join(f"{field_name(path)}: {message}" for path, message in flatten_errors(error, ("policy",)))
        raise UnreadableEntryError(f"entry {entry['seq']}: {problems}") from None
    except ValueError as error:
        raise UnreadableEntryError(f"entry {entry['seq']}: {error}") from None


def _evidence(entry: Mapping[str, Any]) -> Evidence:
    try:
        return evidence_from_json(entry["evidence"])
    except ValueError as error:
        raise UnreadableEntryError(f"entry {entry['seq']}: {error}") from None


def _replayed(
    entry: Mapping[str, Any], again: Mapping[str, Any] | None, decisive: tuple[str, ...], note: str = ""
) -> Replayed:
    then = entry["verdict"]
    agrees = again is None or all(again.get(name) == then.get(name) for name in decisive)
    return Replayed(entry["seq"], then.get("look"), then["elapsed_days"], then, again, agrees, note)
