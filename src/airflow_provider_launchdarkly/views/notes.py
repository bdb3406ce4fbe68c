"""Notes: what tasks leave in XCom for people to see. Pure; :mod:`.reading` turns them into the reading model.

A task that starts, watches or stops an experiment leaves one note, and writes it anew with each look. Its key names the
experiment, so a list of keys is a list of experiments. A note is plain JSON and holds what the pages show; it decides
nothing, and a task works as well without it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

PREFIX = "launchdarkly_note"
SCHEMA = 1

# The key under which a task that waits for a change window says when it opens: ``{"opens_at": ISO 8601}``. It has no
# note, since it may belong to no experiment.
WINDOW = "launchdarkly_window"

START, WATCH, STOP, RELEASE, HAND_OVER, END = "start", "watch", "stop", "release", "hand_over", "end"

# Enough for a picture; a note is read again and again.
DIGITS = 6

# The fields of a comparison that pictures and sentences need.
_NUMBERS = ("units", "baseline_units", "lift", "lift_lower", "lift_upper", "lift_level", "z")
_ABOUT_A_LOOK = ("verdict", "reason", "summary", "look", "looks", "elapsed_days", "units")


def key_of(project: str, environment: str, experiment: str) -> str:
    """Return the XCom key of an experiment's notes."""
    return "/".join((PREFIX, *(quote(part, safe="") for part in (project, environment, experiment))))


def experiment_of(key: str) -> tuple[str, str, str] | None:
    """Return project, environment and experiment that a key names; None for another task's XCom."""
    name, *parts = key.split("/")
    if name != PREFIX or len(parts) != 3:
        return None
    project, environment, experiment = map(unquote, parts)
    return project, environment, experiment


def note(
    kind: str, about: Mapping[str, Any], *, at: datetime, page: Mapping[str, Any], **fields: Any
) -> dict[str, Any]:
    """Return a note.

    Args:
        kind: ``start``, ``watch``, ``stop``, ``release``, ``hand_over`` or ``end``.
        about: Plain JSON with ``project_key``, ``environment_key``, ``experiment_key`` and ``iteration_id``.
        at: The time, aware.
        page: What the DAG says of the experiment: ``owner``, ``tags``, ``rollout``.
        fields: What else the kind has.
    """
    return {
        "schema": SCHEMA,
        "kind": kind,
        "at": at.isoformat(),
        "project": about["project_key"],
        "environment": about["environment_key"],
        "experiment": about["experiment_key"],
        "iteration": about["iteration_id"],
        **page,
        **fields,
    }


def started(output: Mapping[str, Any], *, at: datetime, page: Mapping[str, Any]) -> dict[str, Any]:
    """Return the note of a task that started an iteration, from its output."""
    return note(START, output, at=at, page=page, url=output.get("url"), treatments=treatments_of(output))


def stopped(
    output: Mapping[str, Any], *, at: datetime, page: Mapping[str, Any], verdict: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the note of a task that stopped an iteration, from its output and the verdict it was given, if any."""
    return note(
        STOP,
        output,
        at=at,
        page=page,
        url=output.get("url"),
        treatments=treatments_of(output),
        flag=output.get("flag_key"),
        ending=verdict.get("verdict") if verdict else None,
        harmed=list(verdict.get("harmed") or ()) if verdict else [],
        winner=output.get("winning_treatment"),
        why=output.get("winning_reason"),
        looks=looks_with((), verdict, at=at) if verdict and verdict.get("metrics") else [],
    )


def ended(
    about: Mapping[str, Any],
    *,
    at: datetime,
    page: Mapping[str, Any],
    verdict: Mapping[str, Any] | None = None,
    **told: Any,
) -> dict[str, Any]:
    """Return the note of an end of a rollout after which nobody watches what people are served.

    Args:
        about: As for :func:`note`.
        at: The time, aware.
        page: As for :func:`note`.
        verdict: The verdict that it rests on; None without one.
        told: The ``ending``, or ``unwatched`` if the experiment has ended and no ending was reached; ``why``; what to
            ``do``, as sentences; ``now``, who gets what, as a sentence, if no stage says it; ``what`` nobody
            watches, if that is no release; the ``url`` of the experiment.
    """
    judged = looks_with((), verdict, at=at) if verdict and verdict.get("metrics") else []
    return note(END, about, at=at, page=page, reason=(verdict or {}).get("reason"), looks=judged, **told)


def handed_over(
    about: Mapping[str, Any],
    *,
    at: datetime,
    page: Mapping[str, Any],
    treatments: Sequence[Mapping[str, Any]],
    url: str,
    **told: Any,
) -> dict[str, Any]:
    """Return the note of a task that waits for a person who makes its change in LaunchDarkly.

    Args:
        about: As for :func:`note`.
        at: The time, aware.
        page: As for :func:`note`.
        treatments: Who gets what until then: ``name``, ``percent`` and ``baseline`` of each; empty if it is not known.
        url: Address of the experiment in LaunchDarkly.
        told: ``what`` is to be made, ``details`` of it, the ``reviewers``, ``until`` when it is waited for in ISO 8601,
            whether ``harm`` is served until then, whether it starts the winner's ``release``, and whether it is a
            request that was ``requested``. An ``ending`` whose request it is says how the release of the winner ended.
    """
    return note(HAND_OVER, about, at=at, page=page, treatments=list(treatments), url=url, **told)


def released(
    output: Mapping[str, Any], *, at: datetime, page: Mapping[str, Any], shown: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return the note of a task that ended an iteration on its baseline and started its winner's release.

    Args:
        output: The task's output.
        at: The time, aware.
        page: As for :func:`note`.
        shown: The note on the release itself, as its sensor writes it anew with each poll that has news.
    """
    phase: Mapping[str, Any] = next(iter(output.get("phases") or ()), {})
    return note(
        RELEASE,
        output,
        at=at,
        page=page,
        url=output.get("url"),
        treatments=[],
        flag=output.get("flag_key"),
        winner=output.get("treatment"),
        baseline=output.get("baseline"),
        percents=list(phase.get("percents") or ()),
        guards=sorted(output.get("metrics") or {}),
        shown=shown,
    )


def watched(
    found: Mapping[str, Any],
    *,
    at: datetime,
    page: Mapping[str, Any],
    policy: Mapping[str, Any] | None,
    before: Mapping[str, Any] | None = None,
    looks: Iterable[Mapping[str, Any]] = (),
    url: str | None = None,
    poll_seconds: float | None = None,
) -> dict[str, Any]:
    """Return the note of a task that watches an iteration, after a poll.

    Args:
        found: The verdict as plain JSON with the keys of its target; with ``evidence`` if it was a look.
        at: The time of the poll, aware; LaunchDarkly's, where it is known.
        page: As for :func:`note`.
        policy: The policy as plain JSON; None if nothing is judged.
        before: The task's note so far, whose looks at this iteration are kept.
        looks: Looks that are known from elsewhere.
        url: Address of the experiment in LaunchDarkly.
        poll_seconds: Time between two polls; None for that of `before`.
    """
    same = before is not None and before.get("iteration") == found["iteration_id"]
    known = [*((before or {}).get("looks", ()) if same else ()), *looks]
    evidence = found.get("evidence")
    treatments = _arms((evidence or {}).get("treatments", ()))
    elapsed = timedelta(days=float(found.get("elapsed_days") or 0.0))
    return note(
        WATCH,
        found,
        at=at,
        page=page,
        url=url,
        policy=policy,
        started_at=(at - elapsed).isoformat() if elapsed or found.get("reason") != "no_data" else None,
        treatments=treatments or ((before or {}).get("treatments", []) if same else []),
        flag_seen=found.get("flag") or ((before or {}).get("flag_seen") if same else None),
        poll_seconds=poll_seconds or (before or {}).get("poll_seconds"),
        latest=_latest(found),
        looks=looks_with(known, found, at=at) if evidence or found.get("metrics") else looks_with(known, None, at=at),
        record=_record(found.get("record"), at) or ((before or {}).get("record") if same else None),
        trouble=None,
    )


def troubled(before: Mapping[str, Any], message: str, *, at: datetime, broken_record: bool = False) -> dict[str, Any]:
    """Return a task's note after its waiting has failed.

    Args:
        before: Its note so far.
        message: Why it failed.
        at: The time.
        broken_record: Whether it failed because the decision record differs from what was written.
    """
    record = {**(before.get("record") or {}), "trouble": message} if broken_record else before.get("record")
    return {**before, "record": record, "trouble": {"at": at.isoformat(), "message": message}}


def looks_with(
    known: Iterable[Mapping[str, Any]], found: Mapping[str, Any] | None, *, at: datetime
) -> list[dict[str, Any]]:
    """Return looks in the order of their time, each once; a look that is repeated counts as it was first taken.

    Args:
        known: Looks so far, in any order.
        found: A verdict as plain JSON that is one more look; None adds none.
        at: When that was taken.
    """
    looks: dict[tuple[str, float], dict[str, Any]] = {}
    for look in (*known, *((_look(found, at),) if found else ())):
        looks.setdefault((str(look.get("iteration")), float(look.get("elapsed_days") or 0.0)), dict(look))
    return [looks[place] for place in sorted(looks, key=lambda place: (str(looks[place].get("at")), place[1]))]


def looks_of_record(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the looks of a decision record's entries, as a note has them."""
    looks = [entry for entry in entries if entry["evidence"] is not None]
    return [
        _look(
            {**look["verdict"], **look["target"], "evidence": look["evidence"]},
            datetime.fromisoformat(look["at"]),
        )
        for look in looks
    ]


def treatments_of(output: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return an iteration's treatments, from an operator's output."""
    return [
        {"name": arm["name"], "percent": float(arm["allocation_percent"]), "baseline": arm["baseline"]}
        for arm in output.get("treatments", ())
    ]


def _record(stored: Mapping[str, Any] | None, at: datetime) -> dict[str, Any] | None:
    """The place of a look in a record. Whoever adds to a record has read the whole of it, and checked its chain."""
    return {**stored, "checked_at": at.isoformat()} if stored else None


def _latest(found: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: found.get(name) for name in _ABOUT_A_LOOK}
    return {**fields, "next_look_days": found.get("next_look_days"), "harmed": list(found.get("harmed") or ())}


def _look(found: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    evidence = found.get("evidence") or {}
    taken = found.get("looked_at") or at.isoformat()
    return {
        **{name: _short(found.get(name)) for name in _ABOUT_A_LOOK},
        "at": taken,
        "iteration": found.get("iteration_id"),
        "only_harm": bool(evidence.get("only_harm")),
        "metrics": [_metric(metric) for metric in found.get("metrics") or ()],
        "split": _split(found.get("split")),
        "cautions": list(found.get("cautions") or ()),
        **({"coverage": evidence["coverage"]} if evidence.get("coverage") else {}),
    }


def _metric(metric: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **{name: metric.get(name) for name in ("metric", "role", "direction", "margin")},
        "comparisons": [_comparison(compared) for compared in metric.get("comparisons") or ()],
    }


def _comparison(compared: Mapping[str, Any]) -> dict[str, Any]:
    prospects, estimate = compared.get("prospects") or {}, compared.get("estimate") or {}
    worth = estimate.get("bias_adjusted")
    return {
        "treatment": compared.get("treatment"),
        **{name: _short(compared.get(name)) for name in _NUMBERS},
        "success": _bar(compared.get("success")),
        "harm": _bar(compared.get("harm") or compared.get("anytime_harm")),
        "chance": _short(prospects.get("predictive_power")),
        "worth": _short(estimate.get("median_unbiased") if worth is None else worth),
    }


def _bar(bar: Mapping[str, Any] | None) -> list[Any] | None:
    """A boundary as ``[z, boundary, reached]``."""
    return None if not bar else [_short(bar.get("z")), _short(bar.get("boundary")), bool(bar.get("reached"))]


def _split(split: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not split:
        return None
    names = ("treatments", "units", "shares", "p_value", "alpha", "mismatch")
    return {name: split.get(name) for name in names}


def _arms(treatments: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Treatments of evidence, whose shares count as ratios only; none if a share is not known."""
    shares = [arm.get("share") for arm in treatments]
    total = sum(share or 0.0 for share in shares)
    if None in shares or not total:
        return []
    return [
        {"name": arm["name"], "percent": round(100.0 * arm["share"] / total, 3), "baseline": arm["baseline"]}
        for arm in treatments
    ]


def _short(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
