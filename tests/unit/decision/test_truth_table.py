"""Every combination of gate, primary metric, guardrail, split and deadline, and the verdict it must give.

The tables below are the specification; `docs/truth-table.md` is generated from them and held by the last test.
After a change: ``python tests/unit/decision/test_truth_table.py`` writes the page.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[2]))

from airflow_provider_launchdarkly.api.http.procedure import Response
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import Experiment
from airflow_provider_launchdarkly.checks.on_data import DataLooks
from airflow_provider_launchdarkly.checks.significance import find_due_look
from airflow_provider_launchdarkly.decision.evidence import Measurement, MetricEvidence, ReleaseEvidence, Standing
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.standing import fingerprint
from airflow_provider_launchdarkly.decision.verdict import Reason
from airflow_provider_launchdarkly.evidence.source import Target
from support.evidence import BOLD, CONTROL, MONDAY, evidence, rates, shifted

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.decision.evidence import Evidence
    from airflow_provider_launchdarkly.decision.verdict import Verdict

PAGE = Path(__file__).parents[3] / "docs" / "truth-table.md"
POLICY = Policy.model_validate({"guardrails": [{"metric": "guardrail"}]})
ANY = "any"

AXES = {
    "gate": ("before the first look", "before min_duration", "too few units", "open"),
    "deadline": ("running", "plan's end"),
    "split": ("as allocated", "off"),
    "guardrail": ("fine", "harmed"),
    "primary": ("better", "unclear", "worse"),
}

# The first row that fits gives the verdict. Gate, deadline, split, guardrail, primary: verdict, reason.
RULES = (
    ((ANY, ANY, "off", ANY, ANY), ("invalid", "mismatch")),
    (("before the first look", ANY, ANY, ANY, ANY), ("wait", "between_looks")),
    ((ANY, ANY, ANY, "harmed", ANY), ("rollback", "guardrail_harmed")),
    ((ANY, ANY, ANY, ANY, "worse"), ("rollback", "primary_harmed")),
    (("before min_duration", ANY, ANY, ANY, ANY), ("wait", "min_duration")),
    (("too few units", "running", ANY, ANY, ANY), ("wait", "min_sample")),
    (("too few units", "plan's end", ANY, ANY, ANY), ("inconclusive", "min_sample")),
    (("open", ANY, ANY, ANY, "better"), ("ship", "better")),
    (("open", "plan's end", ANY, ANY, ANY), ("inconclusive", "plan_ended")),
    (("open", "running", ANY, ANY, ANY), ("wait", "not_significant")),
)

Combination = tuple[str, ...]
# Neither gate of time can still be closed at the plan's end.
POSSIBLE: tuple[Combination, ...] = tuple(
    (gate, deadline, *others)
    for gate, deadline, *others in itertools.product(*AXES.values())
    if not (gate.startswith("before") and deadline == "plan's end")
)


def expected(combination: Combination) -> tuple[str, str]:
    return next(
        verdict
        for rule, verdict in RULES
        if all(wanted in (ANY, given) for wanted, given in zip(rule, combination, strict=True))
    )


def measured(combination: Combination) -> Evidence:
    gate, deadline, split, guardrail, primary = combination
    day = {"before the first look": 0.5, "before min_duration": 3.0}.get(gate, 14.0)
    units = 80 if gate == "too few units" else 20_000
    return evidence(
        28.0 if deadline == "plan's end" else day,
        shifted("primary", {"better": 6.0, "unclear": 0.0, "worse": -6.0}[primary], units),
        shifted("guardrail", {"fine": 0.0, "harmed": -6.0}[guardrail], units),
        exposed=(units, units // 2 if split == "off" and units > 80 else 8 if split == "off" else units),
    )


@pytest.mark.parametrize("combination", POSSIBLE, ids=", ".join)
def test_each_combination_gives_its_verdict(combination: Combination) -> None:
    policy = POLICY
    if combination[0] == "too few units" and combination[2] == "off":
        # So few units cannot show a broken split at 1 %; the order of judgement is what is tested.
        policy = POLICY.model_copy(update={"mismatch": POLICY.mismatch.model_copy(update={"alpha": 0.9})})
    verdict = decide(policy, measured(combination))
    assert (verdict.kind, verdict.reason) == expected(combination)


def test_every_rule_is_needed() -> None:
    used = {next(index for index, (rule, _) in enumerate(RULES) if fits(rule, combination)) for combination in POSSIBLE}
    assert used == set(range(len(RULES)))


def fits(rule: tuple[str, ...], combination: tuple[str, ...]) -> bool:
    return all(wanted in (ANY, given) for wanted, given in zip(rule, combination, strict=True))


@dataclass(frozen=True)
class Case:
    """A setting beyond the table, a situation, and the verdict."""

    setting: str
    situation: str
    policy: dict[str, Any]
    evidence: Evidence
    verdict: tuple[str, str]


BETTER, UNCLEAR = shifted("primary", 6.0), shifted("primary", 0.0)
FADING = evidence(14, shifted("primary", -1.5))
EMPTY = MetricEvidence(
    "primary", (Measurement(CONTROL, 500, 0.1, 0.3), Measurement(BOLD, 0, None, None)), BETTER.direction
)
OFF = (11_500, 10_000)
FEWER = (9_000, 9_000)
STALE = timedelta(days=3)
NI = {"primary": {"test": "non_inferiority", "margin": 0.01}}
PROVE = {"guardrails": [{"metric": "guardrail", "margin": 0.005, "prove": True}]}
SIGNAL = {"signals": [{"metric": "signal"}]}
HOLD, WARN = {"mismatch": {"action": "hold"}}, {"mismatch": {"action": "warn"}}
STRICT = {"missing": {"action": "invalid"}}
CROSSED = Standing(BOLD, 12, "primary", fingerprint(Policy()))
WEAKER, GONE = shifted("primary", 2.0), shifted("primary", 1.0)

PARTLY = evidence(14, rates("primary", (6_000, 4_000), 0.1, 0.2), exposed=(10_000, 10_000))
SILENT = rates("signal", 0, 0.1, 0.1)
ERRORS, MAY_STAY_EMPTY = ({"guardrails": [{"metric": "errors", "needs_events": needed}]} for needed in (True, False))
SHIPS = ("ship", "better")
NO_ERRORS, ONE_ERROR = (rates("errors", 10_000, 0.0, rate) for rate in (0.0, 0.0001))

RELEASED = {"release_guardrails": [{"flag": "search"}]}


def released(day: float, state: str, status: str = "in_progress") -> Evidence:
    return evidence(day, BETTER)._replace(releases=(ReleaseEvidence("search", "r1", status, {"errors": state}),))


RELEASE_CASES: tuple[Case, ...] = tuple(
    Case("release_guardrails", situation, RELEASED, measured, verdict)
    for situation, measured, verdict in (
        ("regressed, primary better", released(14, "regressed"), ("rollback", "release_regressed")),
        ("regressed, before min_duration", released(3, "regressed"), ("rollback", "release_regressed")),
        ("ok, primary better", released(14, "ok"), ("ship", "better")),
        ("regression dismissed, primary better", released(14, "regression_dismissed"), ("ship", "better")),
        ("no data, primary better", released(14, "no_data"), ("wait", "release_unknown")),
        ("no data, plan's end", released(28, "no_data"), ("invalid", "release_unknown")),
        ("no release, primary better", evidence(14, BETTER), ("wait", "release_unknown")),
        ("ok, then taken back by a person", released(14, "ok", "reverted"), ("wait", "release_unknown")),
    )
)
EVENT_CASES: tuple[Case, ...] = tuple(
    Case(setting, situation, policy, measured, verdict)
    for setting, situation, policy, measured, verdict in (
        ("a guardrail", "no event, primary better", ERRORS, evidence(14, BETTER, NO_ERRORS), ("wait", "no_data")),
        ("a guardrail", "the same, plan's end", ERRORS, evidence(28, BETTER, NO_ERRORS), ("inconclusive", "no_data")),
        ("a guardrail", "one event, primary better", ERRORS, evidence(14, BETTER, ONE_ERROR), ("ship", "better")),
        ("needs_events: false", "no event, primary better", MAY_STAY_EMPTY, evidence(14, BETTER, NO_ERRORS), SHIPS),
        (
            *("a signal", "no event, primary better"),
            *({"signals": [{"metric": "errors"}]}, evidence(14, BETTER, NO_ERRORS), ("wait", "no_data")),
        ),
    )
)
CASES: tuple[Case, ...] = (
    *RELEASE_CASES,
    *EVENT_CASES,
    Case("-", "crossed before, p is 0.02", {}, evidence(14, WEAKER)._replace(standing=CROSSED), ("ship", "better")),
    Case("-", "crossed before, p is 0.16", {}, evidence(14, GONE)._replace(standing=CROSSED), ("wait", "effect_gone")),
    Case(
        "-",
        "crossed before, p is 0.16, plan's end",
        {},
        evidence(28, GONE)._replace(standing=CROSSED),
        ("inconclusive", "effect_gone"),
    ),
    Case("mismatch: hold", "split off, running", HOLD, evidence(14, BETTER, exposed=OFF), ("wait", "mismatch")),
    Case("mismatch: hold", "split off, plan's end", HOLD, evidence(28, BETTER, exposed=OFF), ("invalid", "mismatch")),
    Case(
        "mismatch: hold",
        "split off, primary worse",
        HOLD,
        evidence(14, shifted("primary", -6.0), exposed=OFF),
        ("rollback", "primary_harmed"),
    ),
    Case("mismatch: warn", "split off, primary better", WARN, evidence(14, BETTER, exposed=OFF), ("ship", "better")),
    Case(
        "defaults",
        "measured units split off",
        {},
        PARTLY,
        ("invalid", "mismatch"),
    ),
    Case(
        "primary.test_split: false",
        "measured units split off, primary better",
        {"primary": {"test_split": False}},
        PARTLY,
        ("ship", "better"),
    ),
    Case(
        "defaults",
        "more units than exposed, running",
        {},
        evidence(14, BETTER, exposed=FEWER),
        ("wait", "more_units_than_exposed"),
    ),
    Case(
        "defaults",
        "more units than exposed, plan's end",
        {},
        evidence(28, BETTER, exposed=FEWER),
        ("invalid", "more_units_than_exposed"),
    ),
    Case(
        "signals: [{metric: signal}]",
        "signal without data",
        SIGNAL,
        evidence(14, BETTER, SILENT),
        ("wait", "no_data"),
    ),
    Case(
        "signals[].required: false",
        "signal without data",
        {"signals": [{"metric": "signal", "required": False}]},
        evidence(14, BETTER, SILENT),
        ("ship", "better"),
    ),
    Case(
        "maturity: 7d",
        "no data in a treatment, within grace",
        {"maturity": "7d", **STRICT},
        evidence(8, EMPTY),
        ("wait", "no_data"),
    ),
    Case(
        "maturity: 7d",
        "no data in a treatment, after grace",
        {"maturity": "7d", **STRICT},
        evidence(9, EMPTY),
        ("invalid", "no_traffic"),
    ),
    Case("missing: hold", "no data in a treatment, running", {}, evidence(14, EMPTY), ("wait", "no_data")),
    Case("missing: hold", "no data in a treatment, plan's end", {}, evidence(28, EMPTY), ("invalid", "no_traffic")),
    Case(
        "missing: hold",
        "counts stand still, running",
        {},
        evidence(14, BETTER, unchanged_for=STALE),
        ("wait", "stale_results"),
    ),
    Case(
        "missing: hold",
        "counts stand still, plan's end",
        {},
        evidence(28, BETTER, unchanged_for=STALE),
        ("invalid", "stale_results"),
    ),
    Case("missing: invalid", "no data in a treatment, within grace", STRICT, evidence(1, EMPTY), ("wait", "no_data")),
    Case(
        "missing: invalid", "no data in a treatment, after grace", STRICT, evidence(2, EMPTY), ("invalid", "no_traffic")
    ),
    Case(
        "missing: invalid",
        "counts stand still",
        STRICT,
        evidence(14, BETTER, unchanged_for=STALE),
        ("invalid", "stale_results"),
    ),
    Case(
        "a signal",
        "points the wrong way, primary better, running",
        SIGNAL,
        evidence(14, BETTER, shifted("signal", -3.0)),
        ("wait", "signal"),
    ),
    Case(
        "a signal",
        "points the wrong way, primary better, plan's end",
        SIGNAL,
        evidence(28, BETTER, shifted("signal", -3.0)),
        ("inconclusive", "signal"),
    ),
    Case(
        "a signal",
        "points the wrong way, primary unclear",
        SIGNAL,
        evidence(14, UNCLEAR, shifted("signal", -3.0)),
        ("wait", "not_significant"),
    ),
    Case("a signal", "fine, primary better", SIGNAL, evidence(14, BETTER, shifted("signal", 0.0)), ("ship", "better")),
    Case(
        "guardrail: prove",
        "loss within the margin not shown, primary better, running",
        PROVE,
        evidence(14, BETTER, shifted("guardrail", 0.0)),
        ("wait", "guardrail_unproven"),
    ),
    Case(
        "guardrail: prove",
        "loss within the margin not shown, primary better, plan's end",
        PROVE,
        evidence(28, BETTER, shifted("guardrail", -0.5)),
        ("inconclusive", "guardrail_unproven"),
    ),
    Case(
        "guardrail: prove",
        "loss within the margin shown, primary better",
        PROVE,
        evidence(14, BETTER, shifted("guardrail", 2.0)),
        ("ship", "better"),
    ),
    Case(
        "test: non_inferiority",
        "loss within the margin shown",
        NI,
        evidence(14, shifted("primary", 0.0, 40_000)),
        ("ship", "not_worse"),
    ),
    Case(
        "test: non_inferiority",
        "worse than the margin",
        NI,
        evidence(14, shifted("primary", -12.0, 40_000)),
        ("rollback", "primary_harmed"),
    ),
    Case("futility", "primary worse than nothing, running", {}, FADING, ("inconclusive", "futile")),
    Case("futility", "the same, before min_duration", {"min_duration": "21d"}, FADING, ("wait", "min_duration")),
    Case(
        "futility",
        "the same, a guardrail harmed",
        {"guardrails": [{"metric": "guardrail"}]},
        evidence(14, shifted("primary", -1.5), shifted("guardrail", -6.0)),
        ("rollback", "guardrail_harmed"),
    ),
    Case("futility: off", "the same", {"futility": "off"}, FADING, ("wait", "not_significant")),
    Case(
        "guardrail: prove",
        "loss within the margin unlikely to be shown by the plan's end, primary better",
        PROVE,
        evidence(21, BETTER, shifted("guardrail", -3.0)),
        ("inconclusive", "futile"),
    ),
    Case(
        "planned_units",
        "all units in, primary unclear, long before max_duration",
        {"planned_units": 20_000},
        evidence(9, UNCLEAR),
        ("inconclusive", "plan_ended"),
    ),
    Case(
        "planned_units",
        "before the first look, guardrail harmed",
        {"planned_units": 20_000, "guardrails": [{"metric": "guardrail"}]},
        evidence(0.5, UNCLEAR, shifted("guardrail", -6.0)),
        ("wait", "between_looks"),
    ),
    Case(
        "preset: launchdarkly",
        "probability to be best at the threshold",
        {"preset": "launchdarkly"},
        evidence(2, shifted("primary", 1.7)),
        ("ship", "better"),
    ),
    Case(
        "preset: launchdarkly",
        "the baseline's probability to be best at the threshold",
        {"preset": "launchdarkly"},
        evidence(2, shifted("primary", -1.7)),
        ("rollback", "baseline_best"),
    ),
)


@dataclass(frozen=True)
class StateCase:
    """An iteration's state, as LaunchDarkly shows it, and the verdict that follows without results."""

    situation: str
    status: str
    hours: float
    others: tuple[str, ...]
    verdict: tuple[str, str]
    looks: str = "1d"


STATES = (
    StateCase("not started yet", "not_started", 0, (), ("wait", "no_data")),
    StateCase("running, no look is due", "running", 36, (), ("wait", "between_looks")),
    StateCase("running, a look's data have not arrived", "running", 26, (), ("wait", "awaiting_data"), "on_data"),
    StateCase("stopped by someone else", "stopped", 36, ("not_started",), ("invalid", "iteration_stopped")),
    StateCase("stopped, and another one runs", "stopped", 36, ("running",), ("invalid", "iteration_replaced")),
)


@pytest.mark.parametrize("case", STATES, ids=lambda case: case.situation)
def test_each_state_of_the_iteration_gives_its_verdict(case: StateCase) -> None:
    def iteration(name: str, status: str) -> dict[str, Any]:
        started = None if status == "not_started" else int(MONDAY.timestamp() * 1000)
        return {"_id": name, "status": status, "startedAt": started}

    others = [iteration(f"it-{number}", status) for number, status in enumerate(case.others, start=2)]
    shown = {"key": "button", "currentIteration": iteration("it-1", case.status), "previousIterations": others}
    target = Target(EnvironmentRef("demo", "production"), "button", "it-1")
    nothing_arrived = DataLooks(ask=lambda *_: None)
    policy = Policy.from_json({"looks": case.looks})
    check = find_due_look(target, policy, poll_interval=timedelta(minutes=5), data=nothing_arrived)
    next(check)  # the request for the experiment
    with pytest.raises(StopIteration) as ended:
        check.send(Response(Experiment.model_validate(shown), MONDAY + timedelta(hours=case.hours), 200))
    verdict = ended.value.value.verdict
    assert (verdict.kind, verdict.reason) == case.verdict


def test_every_reason_stands_in_a_row() -> None:
    rows = {reason for _, (_, reason) in RULES} | {case.verdict[1] for case in CASES}
    rows |= {case.verdict[1] for case in STATES}
    assert rows == set(Reason)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.setting}, {case.situation}")
def test_each_setting_gives_its_verdict(case: Case) -> None:
    verdict: Verdict = decide(Policy.from_json(case.policy), case.evidence)
    assert (verdict.kind, verdict.reason) == case.verdict


def page() -> str:
    """The page, from the tables above."""

    def row(*cells: str) -> str:
        return f"| {' | '.join(cells)} |"

    head, line = (*AXES, "verdict", "reason"), ("---",) * (len(AXES) + 2)
    rules = [row(*(cell if cell != ANY else "" for cell in rule), f"**{kind}**", why) for rule, (kind, why) in RULES]
    every = [row(*given, f"**{expected(given)[0]}**", expected(given)[1]) for given in POSSIBLE]
    cases = [row(case.setting, case.situation, f"**{case.verdict[0]}**", case.verdict[1]) for case in CASES]
    states = [row(case.situation, f"**{case.verdict[0]}**", case.verdict[1]) for case in STATES]
    return "\n".join(
        [
            "# Truth table",
            "",
            "What each combination decides, with a default policy and one guardrail. Generated by",
            "`tests/unit/decision/test_truth_table.py`, which holds each row.",
            "",
            "## In short",
            "",
            "The first row that fits gives the verdict; an empty cell fits anything. What makes the numbers worthless",
            "is judged first, then harm, which waits for no gate, then the gates of time and sample, then success,",
            "then the plan's end.",
            "",
            row(*head),
            row(*line),
            *rules,
            "",
            "## What other settings add",
            "",
            row("setting", "situation", "verdict", "reason"),
            row(*("---",) * 4),
            *cases,
            "",
            "## What follows without results",
            "",
            "An iteration is judged under its id. LaunchDarkly lets no one edit the treatments, the allocation or the",
            "methodology of a running iteration: to change them is to start a new one, and the old one is replaced.",
            "",
            row("iteration", "verdict", "reason"),
            row(*("---",) * 3),
            *states,
            "",
            "## Every combination",
            "",
            "Neither gate of time can still be closed at the plan's end.",
            "",
            row(*head),
            row(*line),
            *every,
            "",
        ]
    )


def test_the_page_in_the_docs_is_the_one_tested_here() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), f"run python {Path(__file__).relative_to(PAGE.parents[1])}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
