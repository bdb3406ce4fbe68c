"""A decision record as the reading model: one iteration, whole, as far as a record can tell.

A record holds looks and verdicts. It does not say what was done after a verdict, by whom, or in which stage of a
rollout: what is not on record is not shown.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.views.explanations import policy_in_words, to_come, why
from airflow_provider_launchdarkly.views.model import (
    ExperimentDetail,
    ExperimentSummary,
    Happening,
    HarmWatch,
    Record,
    Share,
    State,
)
from airflow_provider_launchdarkly.views.plans import planned_looks
from airflow_provider_launchdarkly.views.reading import coverage
from airflow_provider_launchdarkly.views.served_model import KnownBy, Served
from airflow_provider_launchdarkly.views.verdicts import look_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.views.model import Look, PlannedLook

_DAY = timedelta(days=1)
_CHANGES_OF_POLICY = "judged by another policy from here on"


def detail_of_record(
    entries: Sequence[Mapping[str, Any]], *, path: str | None = None, whole: bool | None = None
) -> ExperimentDetail:
    """Read a decision record.

    Args:
        entries: The entries, oldest first.
        path: Where the record is.
        whole: Whether its chain was checked and holds; None if it was not checked.

    Raises:
        ValueError: It has no entry.
    """
    if not entries:
        raise ValueError("the record has no entry: nothing was judged yet")
    # The claims of a portfolio's share are no looks.
    shown = [entry for entry in entries if not _is_claim(entry)]
    policy = _policy_of(entries[-1]["policy"])
    looks = tuple(_look(entry) for entry in shown)
    newest = looks[-1] if looks else None
    planned = next((look for look in reversed(looks) if look.number and not look.only_harm), None)
    evidence = _newest_evidence(shown)
    target = entries[-1]["target"]
    started = _started_at(shown)
    schedule = _planned(policy, evidence, started)
    return ExperimentDetail(
        summary=ExperimentSummary(
            project=target["project_key"],
            environment=target["environment_key"],
            key=target["experiment_key"],
            dag_id="",
            run_id="",
            state=_state(newest),
            headline=_headline(newest),
            shares=_shares(evidence) if newest is None or newest.verdict == Kind.WAIT else (),
            look=newest,
            looks=newest.of if newest else None,
            next_look=_next_look(shown, started),
            harm=_harm(policy, looks),
            updated_at=datetime.fromisoformat(entries[-1]["at"]),
            served=Served(KnownBy.ALLOCATION, datetime.fromisoformat(entries[-1]["at"])),
        ),
        looks=looks,
        planned=schedule,
        split=next((look.split for look in reversed(looks) if look.split is not None), None),
        why=why(newest) if newest else "Nothing was judged yet.",
        to_come=to_come(policy, planned) if policy and (newest is None or newest.verdict == Kind.WAIT) else (),
        policy=policy_in_words(policy, planned) if policy else ("The policy is that of a newer version.",),
        timeline=tuple(_timeline(shown, looks, started)),
        record=Record(entries=len(entries), head=entries[-1]["hash"], path=path, whole=whole),
        cautions=newest.cautions if newest else (),
    )


def verdict_in_words(look: Look) -> str:
    """Return what a look concluded, in a few words."""
    return _VERDICTS.get(look.verdict, look.verdict)


_VERDICTS: Mapping[str, str] = {
    Kind.SHIP: "verdict: ship",
    Kind.ROLLBACK: "verdict: roll back",
    Kind.INCONCLUSIVE: "verdict: no winner",
    Kind.INVALID: "verdict: invalid",
    Kind.WAIT: "not decided yet",
}
_STATES: Mapping[str, State] = {
    Kind.SHIP: State.SHIPPED,
    Kind.ROLLBACK: State.ROLLED_BACK,
    Kind.INCONCLUSIVE: State.INCONCLUSIVE,
    Kind.INVALID: State.INVALID,
}


def _is_claim(entry: Mapping[str, Any]) -> bool:
    return entry["evidence"] is None and entry["verdict"]["verdict"] == Kind.WAIT


def _policy_of(policy: Mapping[str, Any]) -> Policy | None:
    """Return a recorded policy; None if it is that of a newer version."""
    try:
        return Policy.from_json(dict(policy))
    except InvalidSettingError:
        return None


def _look(entry: Mapping[str, Any]) -> Look:
    policy = _policy_of(entry["policy"])
    made = look_of(
        entry["verdict"],
        at=datetime.fromisoformat(entry["at"]),
        iteration_id=entry["target"]["iteration_id"],
        ships_from_day=policy.min_duration / _DAY if policy else None,
    )
    return replace(made, coverage=coverage((entry["evidence"] or {}).get("coverage")))


def _state(look: Look | None) -> State:
    return _STATES.get(look.verdict, State.WAITING) if look else State.STARTING


def _headline(look: Look | None) -> str:
    if look is None:
        return "No look is on record yet."
    return look.summary


def _newest_evidence(entries: Sequence[Mapping[str, Any]]) -> Evidence | None:
    for entry in reversed(entries):
        if entry["evidence"] is not None:
            return evidence_from_json({**entry["evidence"], "earlier": ()})
    return None


def _started_at(entries: Sequence[Mapping[str, Any]]) -> datetime | None:
    for entry in entries:
        if entry["evidence"] is not None and entry["evidence"].get("started_at"):
            return datetime.fromisoformat(entry["evidence"]["started_at"])
    return None


def _planned(policy: Policy | None, evidence: Evidence | None, started: datetime | None) -> tuple[PlannedLook, ...]:
    if policy is None or evidence is None or (started is None and policy.looks.cron is not None):
        return ()
    return planned_looks(policy, started, Allocation.of(evidence))


def _shares(evidence: Evidence | None) -> tuple[Share, ...]:
    treatments = evidence.treatments if evidence else ()
    total = sum(treatment.share or 0.0 for treatment in treatments)
    if not total or any(treatment.share is None for treatment in treatments):
        return ()
    return tuple(
        Share(treatment.name, round(100.0 * (treatment.share or 0.0) / total, 3), treatment.baseline)
        for treatment in treatments
    )


def _next_look(entries: Sequence[Mapping[str, Any]], started: datetime | None) -> datetime | None:
    days = entries[-1]["verdict"].get("next_look_days") if entries else None
    return started + timedelta(days=days) if started and days is not None else None


def _harm(policy: Policy | None, looks: Sequence[Look]) -> HarmWatch | None:
    if policy is None or not looks:
        return None
    judged = [
        metric.metric
        for metric in (looks[-1].metrics or next((look.metrics for look in reversed(looks) if look.metrics), ()))
        # What is the same for every unit has no z: it shows no harm and no safety.
        if any(compared.harm_boundary is not None and compared.z is not None for compared in metric.comparisons)
    ]
    harmed = tuple(
        f"{metric.metric}: {compared.treatment}"
        for metric in looks[-1].metrics
        for compared in metric.comparisons
        if compared.harmed
    )
    every = policy.harm_looks / _DAY if policy.harm_looks is not None else None
    latest = next((look.at for look in reversed(looks) if look.metrics), None)
    return HarmWatch(tuple(judged), every, harmed, latest) if judged else None


def _timeline(
    entries: Sequence[Mapping[str, Any]], looks: Sequence[Look], started: datetime | None
) -> Iterator[Happening]:
    """Yield the start, the first look, changes of the policy and of the leader's standing, and the ending."""
    if started:
        yield Happening(started, f"iteration {looks[0].iteration_id} started")
    before: Mapping[str, Any] | None = None
    waited: list[Look] = []
    for entry, look in zip(entries, looks, strict=True):
        if before is not None and entry["policy"] != before["policy"]:
            yield from _waits(waited)
            waited = []
            yield Happening(look.at, _CHANGES_OF_POLICY)
        before = entry
        if look.verdict == Kind.WAIT:
            waited.append(look)
            continue
        yield from _waits(waited)
        waited = []
        yield Happening(look.at, f"{verdict_in_words(look)}: {why(look)}")
    yield from _waits(waited)
    following = _next_look(entries, started)
    if following and looks and looks[-1].verdict == Kind.WAIT:
        yield Happening(following, "next look", ahead=True)


def _waits(looks: Sequence[Look]) -> Iterator[Happening]:
    """Yield one line for looks in a row that decided nothing."""
    if not looks:
        return
    last = looks[-1]
    if len(looks) == 1:
        name = "look for harm" if last.only_harm else f"look {last.number} of {last.of}"
        yield Happening(last.at, f"{name}: not decided yet")
    else:
        yield Happening(last.at, f"{len(looks)} looks without a decision, the last on day {last.elapsed_days:.4g}")
