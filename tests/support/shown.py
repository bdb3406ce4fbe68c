"""Notes as tasks leave them, and runs as Airflow tells of them, for tests of the pages."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.views import notes, releases
from airflow_provider_launchdarkly.views.airflow_run import Asked, Note, Run, Task

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
DAG, RUN = "checkout", "manual__1"
URL = "https://app.launchdarkly.com/projects/demo/experiments/checkout"


def keys(experiment: str = "checkout", iteration: str = "i2") -> dict[str, str]:
    names = ("project_key", "environment_key", "experiment_key", "iteration_id")
    return dict(zip(names, ("demo", "production", experiment, iteration), strict=True))


def arms(percent: float = 25.0) -> list[dict[str, Any]]:
    return [
        {"name": "Classic", "percent": 100.0 - percent, "baseline": True},
        {"name": "Bold", "percent": percent, "baseline": False},
    ]


def rollout(stage: int | None = 2, **changes: Any) -> dict[str, Any]:
    """Three stages, of which the last decides."""
    stages = [
        {"name": name, "shares": arms(share), "gate": gate, "days": days, "asks": False, "notes": None}
        for name, share, gate, days in (
            ("canary", 10.0, "guardrails", 3.0),
            (None, 25.0, "guardrails", 7.0),
            ("half", 50.0, "decision", 28.0),
        )
    ]
    return {
        "group": "rollout",
        "name": "Bold checkout",
        "flag": "checkout-button",
        "hypothesis": "Bold is better.",
        "stage": stage,
        "stages": stages,
        "observes": False,
        "window": "09:00-16:00 on mon, tue, Europe/Berlin",
        "release": None,
        "reviewers": [],
        **changes,
    }


def page(stage: int | None = 2, **changes: Any) -> dict[str, Any]:
    return {"owner": ["growth"], "tags": ["web"], "rollout": rollout(stage, **changes)}


def comparison(lift: float = 0.08, z: float = 2.59, boundary: float | None = 3.16) -> dict[str, Any]:
    return {
        "treatment": "Bold",
        "units": 4013,
        "baseline_units": 12091,
        "lift": lift,
        "lift_lower": lift - 0.1,
        "lift_upper": lift + 0.1,
        "lift_level": 0.9,
        "z": z,
        "success": {"z": z, "boundary": boundary, "reached": boundary is not None and z >= boundary},
        "harm": {"z": -z, "boundary": 2.9, "reached": -z >= 2.9},
        "prospects": {"predictive_power": 0.6},
    }


def seen(at: datetime, differs: str = "", treatments: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    """A flag as a look found it."""
    gets = arms() if treatments is None else treatments
    return {"flag": "checkout-button", "at": at.isoformat(), "treatments": gets, "differs": differs}


def found(look: int = 8, **changes: Any) -> dict[str, Any]:
    """A verdict of a look, as the sensor's check returns it."""
    return {
        "verdict": "wait",
        "reason": "not_significant",
        "summary": f"wait: look {look} of 28",
        "look": look,
        "looks": 28,
        "elapsed_days": float(look),
        "next_look_days": look + 1.0,
        "units": 16104,
        "harmed": [],
        "metrics": [
            {
                "metric": "checkout-conversion",
                "role": "primary",
                "direction": "higher",
                "margin": 0.0,
                "comparisons": [comparison()],
            },
            {
                "metric": "page-load-ms",
                "role": "guardrail",
                "direction": "lower",
                "margin": 0.05,
                "comparisons": [comparison(0.004, -0.4, None)],
            },
        ],
        "split": {
            "treatments": ["Classic", "Bold"],
            "units": [12091, 4013],
            "shares": [0.75, 0.25],
            "p_value": 0.7,
            "alpha": 0.001,
            "mismatch": False,
        },
        "evidence": {
            "treatments": [
                {"id": "t0", "name": "Classic", "baseline": True, "share": 75},
                {"id": "t1", "name": "Bold", "baseline": False, "share": 25},
            ]
        },
        "looked_at": (START + look * DAY).isoformat(),
        "flag": seen(START + look * DAY),
        **keys(),
        **changes,
    }


def policy(**settings: Any) -> dict[str, Any]:
    return Policy.from_json({"guardrails": [{"metric": "page-load-ms", "margin": 0.05}], **settings}).to_json()


def started(stage: int = 1, at: datetime = START, experiment: str = "checkout", **changes: Any) -> Note:
    output = {
        **keys(experiment, f"i{stage}"),
        "url": URL,
        "treatments": [
            {"name": arm["name"], "allocation_percent": str(arm["percent"]), "baseline": arm["baseline"]}
            for arm in arms((10.0, 25.0, 50.0)[stage - 1])
        ],
    }
    return Note(f"rollout.stage_{stage}.start", -1, notes.started(output, at=at, page=page(stage, **changes)))


def watched(look: int = 8, stage: int = 2, experiment: str = "checkout", **changes: Any) -> Note:
    body = notes.watched(
        {**found(look), **keys(experiment), **changes},
        at=START + look * DAY,
        page=page(stage),
        policy=policy(),
        url=URL,
    )
    return Note(f"rollout.stage_{stage}.wait", -1, body)


def stopped(ending: str = "ship", winner: str = "Bold", **verdict: Any) -> Note:
    output = {
        **keys(),
        "url": URL,
        "flag_key": "checkout-button",
        "winning_treatment": winner,
        "winning_reason": "because",
        "treatments": [
            {"name": arm["name"], "allocation_percent": str(arm["percent"]), "baseline": arm["baseline"]}
            for arm in arms()
        ],
    }
    judged = {**found(9), "verdict": ending, "harmed": [], **verdict}
    body = notes.stopped(output, verdict=judged, at=START + 9 * DAY, page=page(None))
    return Note("rollout.stop", -1, body)


STEPS = [10.0, 50.0]
THROUGH: dict[str, Any] = {
    "release": {"kind": "guarded", "steps": "10 % for 1d, 50 % for 2d"},
    "reviewers": ["grace@example.com"],
}


def release_note(step: int | None = 0, status: str = "in_progress", **changes: Any) -> dict[str, Any]:
    """What a poll of the winner's release found; it began on day 9, and each step takes a day."""
    began = START + 9 * DAY
    phase = {
        "rule_id": "rule-1",
        "description": "Ships Bold",
        "step": step,
        "percents": STEPS,
        "step_started_at": None if step is None else (began + step * DAY).isoformat(),
        "step_ends_at": None if step is None else (began + (step + 1) * DAY).isoformat(),
    }
    output = {
        **keys(),
        "flag_key": "checkout-button",
        "release_id": "r1",
        "status": status,
        "reason": None,
        "kind": "guarded",
        "metrics": {"checkout-conversion": "ok", "page-load-ms": "no_data"},
        "current_phase": None if step is None else 0,
        "phases": [phase],
        "started_at": began.isoformat(),
        "ended_at": None,
    }
    return releases.release_note({**output, **changes}, at=began + DAY, url=f"{URL}/flag")


def ships(**changes: Any) -> Note:
    """The note of the task that starts the winner's release, in a rollout that is in its last stage."""
    output = {
        **keys(iteration="i3"),
        "treatment": "Bold",
        "baseline": "Classic",
        "flag_key": "checkout-button",
        "phases": [{"percents": STEPS}],
        "metrics": {"checkout-conversion": "no_data", "page-load-ms": "no_data"},
        "url": URL,
    }
    shown = release_note(None, "pending", metrics=output["metrics"], started_at=None)
    made = notes.released(output, at=START + 9 * DAY, page=page(3, **{**THROUGH, **changes}), shown=shown)
    return Note("rollout.release.start", -1, made)


def handed_over(stage: int | None = 2, *, release: bool = False, **told: Any) -> Note:
    """The note of a task whose change a person has to make in LaunchDarkly."""
    if release:
        served = [{"name": "Classic", "percent": 100.0, "baseline": True}]
    else:
        served = [] if stage is None else arms((10.0, 25.0, 50.0)[stage - 1])
    given = {
        "what": "start the release of flag checkout-button" if release else "start iteration i3 of checkout",
        "details": "a guarded release from 'Classic' to 'Bold'" if release else "",
        "reviewers": ["grace@example.com", "team:checkout"],
        "until": (START + 10 * DAY).isoformat(),
        "harm": False,
        "release": release,
        **told,
    }
    about = page(stage, **THROUGH)
    made = notes.handed_over(keys(), at=START + 9 * DAY, page=about, treatments=served, url=URL, **given)
    return Note("rollout.release.start" if release else "rollout.stage_3.start", -1, made)


def left_running(ending: str = "invalid", stage: int = 3, **verdict: Any) -> Note:
    """The note of an ending that has left the experiment running."""
    judged = {**found(9), "verdict": "invalid", "reason": "sample_ratio_mismatch", **verdict}
    made = notes.ended(
        judged,
        at=START + 9 * DAY,
        page=page(stage),
        verdict=judged,
        ending=ending,
        why="units are split 40 to 60, planned 50 to 50",
        do=["To go on, clear the task rollout.verdict.", "Or stop the experiment in LaunchDarkly."],
        url=URL,
    )
    return Note(f"rollout.{ending}", -1, made)


def run(*tasks: Task, state: str = "running", asked: tuple[Asked, ...] = ()) -> Run:
    return Run(DAG, RUN, state, tasks, asked)


def task(name: str, state: str, operator: str = "LaunchDarklyWaitForSignificanceSensor", **more: Any) -> Task:
    return Task(f"rollout.{name}", state, operator, **more)


WAITS = task("stage_2.wait", "deferred")
