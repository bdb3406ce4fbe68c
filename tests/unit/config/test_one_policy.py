"""One dialect for policies: a policy file and the same text pasted into a rollout are one policy, or one refusal."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from textwrap import indent

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.cli.main import main
from airflow_provider_launchdarkly.config.problems import Problem
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_files import PolicyError, parse_policy
from airflow_provider_launchdarkly.decision.verdict import Reason, Verdict
from airflow_provider_launchdarkly.rollout.files import Broken, NamedRollout, read_file
from support.audit_records import decision
from support.policies import policies

ROLLOUT = """\
rollouts:
  button:
    experiment:
      flag: checkout-button
      hypothesis: Bold is better.
      primary_metric: checkout-conversion
      treatments:
        - {variation: Classic, baseline: true}
        - {variation: Bold}
    stages:
      - {allocation: 50, gate: decision}
    policy:
"""
# Lines and columns before the policy in the rollout file.
ABOVE, INDENT = ROLLOUT.count("\n"), " " * 6

ALIAS_BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x]"] + [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
)

# A record that is judged without evidence, whatever the policy.
STOPPED = Verdict.invalid(Reason.ITERATION_STOPPED, "stopped", timedelta(days=1))

TEXTS = [
    "alpha: 5e-2",
    "alpha: 0.05",
    "alpha: .05",
    "alpha: !!float 0.05",
    "alpha: 1e999",
    "alpha: .inf",
    "alpha: 5",
    "alpha: '0.05'",
    "alpha: 0.05\nalpha: 0.1",
    "futility: off",
    "futility: false",
    "futility: ~",
    "futility: on",
    "futility: {predictive_power: 0.02}",
    "futility: {conditional_power: 0.1}",
    "futility: {conditional_power: 0.1}\nprimary: {minimum_detectable_effect: 0.05}",
    "futility: {predictive_power: 0.02, conditional_power: 0.1}",
    "portfolio: {name: 2026Q4-search, alpha: 0.2, experiments: 20}",
    "portfolio: {name: 2026Q4, alpha: 0.2, experiments: 20}\nalpha: 0.05",
    "portfolio: {name: 2026Q4, alpha: 0.2, experiments: 20}\nalpha: 0.01\npreset: frequentist_fixed",
    "portfolio: {name: 2026Q4, alpha: 0.2, experiments: 20}\npreset: frequentist_fixed",
    "portfolio: {name: 2026Q4, alpha: 0.2, experiments: 0}",
    "portfolio: {name: 2026Q4, alpha: 0.2}",
    "portfolio: 2026Q4",
    "portfolio: {name: 2026Q4, false_discovery_rate: 0.2}",
    "portfolio: {name: 2026Q4, false_discovery_rate: 0.2}\nalpha: 0.01",
    "portfolio: {name: 2026Q4, false_discovery_rate: 0.2, alpha: 0.2, experiments: 20}",
    "portfolio: {name: 2026Q4, false_discovery_rate: 0.2, experiments: 20}",
    "portfolio: {name: 2026Q4, false_discovery_rate: 80}",
    "portfolio: {name: 2026Q4}",
    "portfolio: {name: 2026Q4, alpha: 0.2, experiments: 20}\nrule: probability_to_be_best",
    "planned_units: 1000",
    "planned_units: 1_000",
    "planned_units: 0x3E8",
    "planned_units: 01000",
    "guardrails: [{metric: latency, margin: 0.1, prove: true}]",
    "guardrails: [{metric: latency, margin: 0.1, prove: yes}]",
    "guardrails: [{metric: latency, needs_events: false}]",
    "guardrails: [{metric: latency, needs_events: no}]",
    "guardrails: [{metric: latency, margin: 0.1, prove: True}]",
    "guardrails: [{metric: on}]",
    "guardrails: [{metric: 12:30}]",
    "guardrails: [{metric: 2026-01-01}]",
    "guardrails: [{metric: ~}]",
    "guardrails: &g [{metric: latency}]",
    "release_guardrails: [{flag: search}]",
    "release_guardrails: [{flag: search, release: 65f0}]",
    "release_guardrails: [{flag: search, release: ''}]",
    "release_guardrails: [{flag: search, metric: errors}]",
    "release_guardrails: [{release: r1}]",
    "release_guardrails: [search]",
    "release_guardrails: {flag: search}",
    "release_guardrails: [{flag: search}, {flag: search}]",
    "release_guardrails: [{flag: search}, {flag: search, release: r1}]",
    "release_guardrails: [{flag: search, release: r1}, {flag: search, release: r2}]",
    "primary: {metric: a, test_split: false}",
    "signals: [{metric: a, required: no}]",
    "signals: [{metric: a, required: false, test_split: false}]",
    "primary: {metric: a}\nsignals: [{<<: {metric: b}}]",
    "guardrails: [{marign: 0.1, metric: latency}]",
    "min_duration: 35d",
    "min_duration: 7",
    "maturity: 7d",
    "{maturity: 20d, burn_in: 8d}",
    "looks: 1d",
    "harm_looks: 15m",
    "harm_looks: 1m",
    "harm_looks: 2d",
    "harm_looks: 15",
    "harm_looks: 15m\npreset: launchdarkly",
    "looks: {cron: '@daily', timezone: Europe/Berlin}",
    "looks: {cron: every day}",
    "preset: do_no_harm\nprimary: {margin: 0.05}",
    "preset: bold",
    "preset: [balanced]",
    "{}",
    "",
    "# only a comment",
    "- alpha",
    "alpha: [",
    "alpha: 0.05\n---\nalpha: 0.1",
    ALIAS_BOMB,
]


def in_rollout(text: str, folder: Path) -> Policy | list[Problem]:
    """The policy of a rollout into which the text is pasted, or the problems with it."""
    file = folder / "rollout.yaml"
    file.write_text(ROLLOUT + indent(text, INDENT) + "\n")
    (found,) = read_file(file)
    if isinstance(found, NamedRollout):
        return found.rollout.policy
    assert isinstance(found, Broken)
    return list(found.problems)


def in_file(text: str) -> Policy | list[Problem]:
    """The policy of a file that is this text, or the problems with it."""
    try:
        return parse_policy(text)
    except PolicyError as error:
        return list(error.problems)


OF_ROLLOUTS = (
    "the policy does not fit",  # a stage has limits of its own, such as a share of alpha
    "LaunchDarkly's results cannot leave",  # and only SQL can leave out young units
    "is decided at the quarter's end, by a person",  # and a rollout without an approval has no such person
)


def is_refused_by_rollouts_alone(pasted: Policy | list[Problem]) -> bool:
    return isinstance(pasted, list) and all(
        any(words in problem.message for words in OF_ROLLOUTS) for problem in pasted
    )


@pytest.mark.parametrize("text", TEXTS)
def test_a_text_is_the_same_policy_everywhere_or_refused_everywhere(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pasted, alone = in_rollout(text, tmp_path), in_file(text)
    file, log = tmp_path / "policy.yaml", tmp_path / "record.jsonl"
    file.write_text(text)
    log.write_text(chain.write(chain.append((), decision(Policy(), None, STOPPED))))
    replayed = main(["replay", str(log), "--policy", str(file), "--json"])
    printed = json.loads(capsys.readouterr().out)
    if isinstance(alone, Policy):
        assert pasted == alone or is_refused_by_rollouts_alone(pasted)
        assert printed["policy"] == alone.to_json()
    else:
        assert isinstance(pasted, list)
        assert replayed == 1
        expected = "\n".join(str(problem).replace("policy", str(file), 1) for problem in alone)
        assert printed["error"] == expected
        assert main(["simulate", str(file)]) == 1
        assert expected in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "line", "field", "message"),
    [
        ("alpha: 5", 1, "alpha", "write a number less than 0.5 (given 5)"),
        ("alpha: 0.1\nguardrails:\n- metric: a\n- metric: b\n  marign: 0.1", 5, "guardrails[1].marign", "is not known"),
        ("alpha: 0.1\nlooks: {cron: every day}", 2, "looks", "cron 'every day'"),
    ],
)
def test_a_refusal_names_the_same_field_and_message(
    text: str, line: int, field: str, message: str, tmp_path: Path
) -> None:
    (pasted,), (alone,) = in_rollout(text, tmp_path), in_file(text)
    assert isinstance(alone, Problem)
    assert isinstance(pasted, Problem)
    assert (alone.line, alone.field) == (line, field)
    assert message in alone.message
    assert (pasted.line, pasted.field, pasted.message) == (ABOVE + line, f"policy.{field}", alone.message)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(policy=policies(), dump=st.sampled_from((json.dumps, yaml.safe_dump)))
def test_a_drawn_policy_is_the_same_in_a_file_and_in_a_rollout(
    policy: dict[str, object], dump: Callable[[object], str], tmp_path: Path
) -> None:
    text = dump(policy)
    alone, pasted = in_file(text), in_rollout(text, tmp_path)
    assert pasted == alone or is_refused_by_rollouts_alone(pasted)
    assert alone == Policy.from_json(policy)


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    assert len(ALIAS_BOMB) < 700
    begun = time.process_time()
    for problems in (in_rollout(ALIAS_BOMB, tmp_path), in_file(ALIAS_BOMB)):
        assert isinstance(problems, list)
        assert "anchors and aliases" in problems[0].message
    assert time.process_time() - begun < 0.5
