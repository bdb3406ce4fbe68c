"""Policies: what is refused, what is suspicious, what round-trips; from YAML, and by name."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.config.problems import InvalidSettingError
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_files import PolicyError, parse_policy, read_policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction, Guardrail, Looks, Primary, Rule, Signal, Test
from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.decision.suitability import UndecidableExperimentError, require_decidable


class TestDurations:
    @pytest.mark.parametrize(
        ("text", "hours"),
        [
            ("7d", 168),
            ("12h", 12),
            ("1d12h", 36),
            ("90m", 1.5),
            ("2w", 336),
            ("P7D", 168),
            ("PT12H", 12),
            ("P1DT1H", 25),
        ],
    )
    def test_are_read(self, text: str, hours: float) -> None:
        assert parse_duration(text) == timedelta(hours=hours)

    @pytest.mark.parametrize("value", [7, 7.0, "7", "", "d", "P", "seven days", "-7d", None])
    def test_anything_else_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError, match="is no duration; write for instance 7d"):
            parse_duration(value)

    @given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=400)))
    def test_are_written_as_they_are_read(self, duration: timedelta) -> None:
        assert parse_duration(format_duration(duration)) == duration


class TestRefusals:
    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"alpha": 0.0}, "alpha"),
            ({"alpha": 0.5}, "alpha"),
            ({"alpha": 5}, "alpha"),
            ({"alpha": "0.05"}, "alpha"),
            ({"alpha": True}, "alpha"),
            ({"alpha": float("nan")}, "alpha"),
            ({"min_units_per_treatment": "100"}, "min_units_per_treatment"),
            ({"min_duration": 7}, "min_duration: 7 is no duration"),
            ({"min_duration": "29d"}, "min_duration 29d is longer than max_duration 28d"),
            ({"min_duration": "0d", "max_duration": "0d"}, "max_duration is .* not above 0"),
            ({"maturity": "20d", "burn_in": "8d"}, "burn_in 8d and maturity 20d leave no unit before max_duration 28d"),
            ({"maturity": timedelta(days=-1)}, "maturity is -1d"),
            ({"guardrail": []}, "guardrail: is not known"),
            ({"guardrails": [{"metric": "a", "margn": 0.1}]}, r"guardrails\[0\].margn: is not known"),
            ({"guardrails": [{"metric": "a"}, {"metric": "a"}]}, "metric a is named twice"),
            ({"primary": {"metric": "a"}, "signals": [{"metric": "a"}]}, "metric a is named twice"),
            ({"guardrails": [{"metric": "a", "prove": True}]}, "guardrail a: prove needs a margin"),
            ({"primary": {"margin": 0.01}}, "a margin belongs to non_inferiority"),
            ({"primary": {"test": "non_inferiority"}}, "a margin belongs to non_inferiority"),
            (
                {"primary": {"test": "non_inferiority", "margin": 0.01, "minimum_detectable_effect": 0.02}},
                "leave minimum_detectable_effect out",
            ),
            (
                {"rule": "probability_to_be_best", "primary": {"test": "non_inferiority", "margin": 0.01}},
                "probability_to_be_best has no margin",
            ),
            ({"primary": {"direction": "HigherThanBaseline"}}, "primary.direction"),
            ({"looks": {}}, "give exactly one of every, cron, times, only_at_end, not none"),
            ({"looks": {"every": "1d", "cron": "0 9 * * *"}}, "not every and cron"),
            ({"looks": "30s"}, "30s"),
            ({"looks": "PT30S"}, "at least 1m"),
            ({"looks": "1h"}, "looks.every 1h makes 672 looks; at most 200"),
            ({"looks": {"times": ["2d", "1d"]}}, "times must rise"),
            ({"looks": {"times": ["0d", "1d"]}}, "times must rise"),
            ({"looks": {"times": ["30d"]}}, "looks.times has 30d, after max_duration 28d"),
            ({"looks": {"every": "1d", "timezone": "Europe/Berlin"}}, "timezone 'Europe/Berlin' is only for cron"),
            ({"looks": {"cron": "61 * * * *"}}, "minute"),
            ({"traffic": {"units_per_day": 10, "mean": 42}}, "mean 42.0 is no conversion rate"),
        ],
    )
    def test_name_the_field_and_the_value(self, fields: dict[str, object], message: str) -> None:
        with pytest.raises(InvalidSettingError, match=message):
            Policy.from_json(fields)

    def test_a_policy_cannot_be_changed(self) -> None:
        with pytest.raises(InvalidSettingError, match="alpha: cannot be changed"):
            Policy().alpha = 0.1  # type: ignore[misc]


class TestConcerns:
    def test_the_default_policy_has_none(self) -> None:
        assert Policy().concerns() == ()

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"max_duration": "30d"}, "max_duration 30d is not a multiple of 7 days"),
            ({"min_duration": "3d"}, "min_duration 3d is not a multiple of 7 days"),
            (
                {"maturity": "7d", "burn_in": "2d"},
                "no unit counts before 9d (burn_in 2d, maturity 7d): there are no looks before",
            ),
            ({"alpha": 0.2}, "alpha 0.2 ships one of 5"),
            ({"rule": "probability_to_be_best"}, "does not bound the error"),
            ({"primary": {"minimum_detectable_effect": 0.01}}, "plans nothing without traffic"),
        ],
    )
    def test_suspicious_values_are_named(self, fields: dict[str, object], message: str) -> None:
        (concern,) = Policy.model_validate(fields).concerns()
        assert message in concern


class TestJson:
    def test_a_policy_survives_json(self) -> None:
        policy = Policy(
            primary=Primary(metric="sales", direction=Direction.HIGHER, minimum_detectable_effect=0.02),
            guardrails=(Guardrail(metric="latency", direction=Direction.LOWER, margin=0.01, prove=True),),
            signals=(Signal(metric="complaints"),),
            looks=Looks(cron="0 9 * * *", timezone="Europe/Berlin"),
            max_duration=timedelta(days=14),
        )
        assert Policy.from_json(json.loads(json.dumps(policy.to_json()))) == policy

    def test_it_says_every_number_of_a_preset(self) -> None:
        written = Policy.preset("frequentist_fixed").to_json()
        assert written["alpha"] == 0.025
        assert written["looks"]["only_at_end"] is True
        assert written["mismatch"] == {"alpha": 0.01, "action": "stop"}

    def test_looks_can_be_one_duration(self) -> None:
        assert Policy.from_json({"looks": "12h"}).looks == Looks(every=timedelta(hours=12))


class TestPresets:
    @pytest.mark.parametrize("name", PRESETS)
    def test_each_is_a_policy_that_round_trips(self, name: str) -> None:
        assert Policy.from_json(Policy.preset(name).to_json()) == Policy.preset(name)

    def test_balanced_is_the_default_policy(self) -> None:
        assert Policy.preset("balanced") == Policy()

    def test_do_no_harm_ships_what_loses_little(self) -> None:
        assert Policy.preset("do_no_harm").primary.test is Test.NON_INFERIORITY

    def test_launchdarkly_says_what_its_page_says(self) -> None:
        assert Policy.preset("launchdarkly").rule is Rule.PROBABILITY_TO_BE_BEST

    def test_a_policy_can_start_from_one(self) -> None:
        policy = Policy.from_json({"preset": "do_no_harm", "primary": {"margin": 0.05}, "looks": "7d"})
        assert policy.primary == Primary(test=Test.NON_INFERIORITY, margin=0.05)
        assert policy.looks == Looks(every=timedelta(days=7))

    def test_looks_of_a_preset_are_replaced_whole(self) -> None:
        assert Policy.from_json({"preset": "frequentist_fixed", "looks": {"every": "7d"}}).looks.only_at_end is False

    def test_an_unknown_one_is_refused_with_those_there_are(self) -> None:
        with pytest.raises(ValueError, match="preset 'bold' is none of balanced, do_no_harm, launchdarkly"):
            Policy.preset("bold")


class TestYaml:
    def test_a_file(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.yaml"
        path.write_text("alpha: 0.025\nlooks: 7d\nguardrails:\n  - metric: latency\n    direction: lower\n")
        policy = read_policy(path)
        assert policy.alpha == 0.025
        assert policy.guardrails == (Guardrail(metric="latency", direction=Direction.LOWER),)

    def test_every_mistake_has_its_line(self) -> None:
        text = "alpha: 5\nguardrails:\n- {metric: a, margin: 1.5}\n- {metric: b, marign: 0.1}\nmin_durations: 7d\n"
        with pytest.raises(PolicyError) as caught:
            parse_policy(text, "rollout.yaml")
        assert str(caught.value).splitlines() == [
            "rollout.yaml:3: guardrails[0].margin: write a number less than 1 (given 1.5)",
            "rollout.yaml:4: guardrails[1].marign: is not known",
            "rollout.yaml:1: alpha: write a number less than 0.5 (given 5)",
            "rollout.yaml:5: min_durations: is not known",
        ]

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "policy:1: a policy is a mapping of fields such as `preset: balanced`, not nothing"),
            ("alpha: 0.05\nalpha: 0.1\n", "policy:2: alpha is there twice"),
            ("primary:\n  metric: a\n  metric: b\n", "policy:3: metric is there twice"),
            ("- alpha\n", "policy:1: a policy is a mapping of fields such as `preset: balanced`, not ['alpha']"),
            ("alpha: [", "policy:2: this is no YAML"),
            ("alpha: 0.1\npreset: bold\n", "policy:2: preset: preset 'bold' is none of"),
            ("preset: 3\n", "policy:1: preset: preset 3 is none of"),
            ("preset: [balanced]\n", "policy:1: preset: preset ['balanced'] is none of"),
            ("min_duration: 35d\n", "policy:1: min_duration 35d is longer than max_duration 28d"),
            ("alpha: !!python/object:os.system {}\n", "policy:1: tags such as"),
        ],
    )
    def test_what_is_no_policy(self, text: str, message: str) -> None:
        with pytest.raises(PolicyError) as caught:
            parse_policy(text)
        assert message in str(caught.value)

    def test_a_file_that_is_no_text(self, tmp_path: Path) -> None:
        path = tmp_path / "policy.yaml"
        path.write_bytes(b"\xff\xfe\x00")
        with pytest.raises(PolicyError, match="this is no UTF-8"):
            read_policy(path)


class TestSuitability:
    @pytest.mark.parametrize(
        ("kind", "methodology", "warehouse", "message"),
        [
            ("mab", "bayesian", False, r"bandit \(type mab\).* create it with type experiment"),
            ("mab", "export_only", True, "multi-armed bandit"),
            ("holdout", None, False, r"holdout \(type holdout\).* end it with end_holdout"),
            ("holdout", "export_only", True, "holdout"),
            ("experiment", "export_only", False, r"export_only.* results=SqlResults"),
        ],
    )
    def test_what_cannot_be_decided_is_refused_with_reason_and_cure(
        self, kind: str, methodology: str | None, warehouse: bool, message: str
    ) -> None:
        with pytest.raises(UndecidableExperimentError, match=message):
            require_decidable(kind, methodology, launchdarkly_results=not warehouse)

    @pytest.mark.parametrize("methodology", ["bayesian", "frequentist", None, "something_new"])
    def test_other_experiments_are_fine(self, methodology: str | None) -> None:
        require_decidable("experiment", methodology, launchdarkly_results=True)
        require_decidable(None, methodology, launchdarkly_results=True)

    def test_an_exported_experiment_is_fine_with_results_from_a_warehouse(self) -> None:
        require_decidable("experiment", "export_only", launchdarkly_results=False)


PORTFOLIO = {"name": "2026Q4", "alpha": 0.2, "experiments": 20}


@pytest.mark.parametrize("preset", ["balanced", "frequentist_fixed"])
def test_a_portfolio_gives_each_experiment_an_equal_share_as_its_alpha(preset: str) -> None:
    policy = Policy.from_json({"preset": preset, "portfolio": PORTFOLIO})
    assert policy.alpha == 0.2 / 20
    assert Policy.from_json(policy.to_json()) == policy
    assert Policy(portfolio=policy.portfolio).alpha == policy.alpha


def test_an_alpha_beside_a_portfolio_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha 0.05 beside portfolio '2026Q4': leave alpha out.*20 experiments 0.01"):
        Policy.from_json({"portfolio": PORTFOLIO, "alpha": 0.05})


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"experiments": 0}, "portfolio.experiments"),
        ({"experiments": 2.5}, "portfolio.experiments"),
        ({"alpha": 0.95}, "portfolio.alpha"),
        ({"name": ""}, "portfolio.name"),
        ({"q": 0.2}, "portfolio.q"),
    ],
)
def test_a_wrong_portfolio_names_the_field(change: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Policy.from_json({"portfolio": {**PORTFOLIO, **change}})


def test_a_rule_that_spends_no_alpha_has_no_portfolio() -> None:
    with pytest.raises(ValueError, match="probability_to_be_best spends no alpha of a portfolio"):
        Policy.from_json({"portfolio": PORTFOLIO, "rule": "probability_to_be_best"})


@pytest.mark.parametrize(
    ("criteria", "direction"),
    [("HigherThanBaseline", Direction.HIGHER), ("LowerThanBaseline", Direction.LOWER), (None, None), ("Other", None)],
)
def test_direction_of_success_criteria(criteria: str | None, direction: Direction | None) -> None:
    assert Direction.of_success_criteria(criteria) is direction


def test_a_bound_on_the_share_of_false_ships_leaves_each_its_own_alpha() -> None:
    policy = Policy.from_json({"portfolio": {"name": "2026Q4", "false_discovery_rate": 0.2}, "alpha": 0.04})
    assert policy.alpha == 0.04
    assert Policy.from_json(policy.to_json()) == policy
    assert Policy.from_json({"portfolio": {"name": "2026Q4", "false_discovery_rate": 0.2}}).alpha == 0.05


@pytest.mark.parametrize(
    "more", [{}, {"alpha": 0.2}, {"experiments": 20}, {"alpha": 0.2, "experiments": 20, "false_discovery_rate": 0.2}]
)
def test_a_portfolio_divides_an_error_or_bounds_false_ships(more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="give alpha and experiments, to divide an error, or only"):
        Policy.from_json({"portfolio": {"name": "2026Q4", **more}})
