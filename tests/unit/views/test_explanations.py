"""Sentences: why an experiment stands where it stands, what each ending takes, and its policy, in plain words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.decision.verdict import Reason
from airflow_provider_launchdarkly.views.explanations import policy_in_words, to_come, why
from airflow_provider_launchdarkly.views.model import Look
from support.looks import GUARDRAIL, PRIMARY, guarded, look
from support.policies import policies


def test_a_waiting_look_says_how_far_the_nearest_treatment_is() -> None:
    assert why(look(4)) == (
        f"Bold is 8.0 % better than the baseline on {PRIMARY}, and that is not beyond chance yet: z is 0.96, and 3.60 "
        "is needed."
    )


def test_a_harm_says_where_by_how_much_and_what_may_be_lost() -> None:
    harmed = replace(look(4).metrics[1], comparisons=(guarded(4, lift=0.2, harmed=True),))
    found = replace(look(4), verdict="rollback", reason="guardrail_harmed", metrics=(look(4).metrics[0], harmed))
    assert why(found) == f"Bold makes {GUARDRAIL} worse by 20.0 %, and 5 % may be lost. That is beyond chance."


def test_lower_is_better_where_the_metric_says_so() -> None:
    lower = replace(look(4).metrics[0], direction="lower")
    assert why(replace(look(4), metrics=(lower,))).startswith("Bold is 8.0 % worse than the baseline on ")


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("measured", [True, False], ids=["with numbers", "without"])
def test_every_reason_has_a_sentence(reason: Reason, measured: bool) -> None:
    found = replace(look(4), reason=reason.value, metrics=look(4).metrics if measured else ())
    sentence = why(found)
    assert sentence.endswith(".")
    assert sentence[0].isupper()


def test_a_reason_of_a_newer_version_is_told_by_its_summary() -> None:
    found = Look(3, 28, None, 3.0, "wait", "moon_is_full", "look 3 of 28, day 3.0: the moon is full: wait")
    assert why(found) == "The moon is full."


def test_what_would_have_to_happen_names_metrics_days_and_how_far_it_is() -> None:
    policy = Policy.from_json({"guardrails": [{"metric": "page-load-ms", "margin": 0.05}], "planned_units": 40_000})
    assert to_come(policy, look(8)) == (
        (
            f"Ships from day 7 on if a treatment is better than the baseline on {PRIMARY}. "
            "At the latest look that took a z of 3.20, and Bold had 1.21."
        ),
        f"Rolls back at once if {PRIMARY} or page-load-ms (by more than 5 %) gets worse beyond chance, however early.",
        "Ends early without a winner if the chance to ship by the plan's end falls below 1 %.",
        "Ends without a winner on day 28, or at 40,000 units, if nothing has shipped by then.",
        "Is called invalid if people are not divided as allocated.",
    )


@pytest.mark.parametrize(
    ("preset", "sentence"),
    [
        ("balanced", "Of experiments that change nothing, at most 5 % ship, over all looks and treatments."),
        ("do_no_harm", "Of experiments that lose 2 %, at most 5 % ship, over all looks and treatments."),
        ("launchdarkly", "Looks are taken daily. The plan ends on day 28."),
        ("frequentist_fixed", "Of harmless ones, at most 2.5 % are rolled back, over all looks and metrics."),
        ("weekly", "Between them, harm is judged every 6 hours."),
    ],
)  # fmt: skip
def test_a_preset_is_told_in_words(preset: str, sentence: str) -> None:
    assert sentence in policy_in_words(Policy.preset(preset))
    assert set(PRESETS) == {"balanced", "do_no_harm", "launchdarkly", "frequentist_fixed", "weekly"}


@given(policies())
def test_any_policy_is_told_in_sentences(policy: dict[str, object]) -> None:
    read = Policy.from_json(policy)
    for sentence in (*policy_in_words(read), *policy_in_words(read, look(3)), *to_come(read, None)):
        assert sentence.endswith(".")
        assert sentence[0].isupper()
        assert "None" not in sentence
