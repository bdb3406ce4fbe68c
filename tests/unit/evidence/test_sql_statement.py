"""Values of the iteration become the driver's placeholders in a query, and never a part of its text."""

from __future__ import annotations

from datetime import timedelta

import jinja2
import pytest

from airflow_provider_launchdarkly.evidence.sql_statement import BindingError, Statement, write_statement
from support.look_contexts import STARTED_AT, look_context


def write(text: str, placeholder: str = "%s", **context: object) -> Statement:
    template = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False).from_string(text)
    return write_statement(template, look_context(10), placeholder, context)


def test_a_value_becomes_a_placeholder_and_a_parameter() -> None:
    statement = write("SELECT * FROM t WHERE iteration = {{ iteration_id }}")
    assert statement == Statement("SELECT * FROM t WHERE iteration = %s", ("it-1",))


def test_parameters_stand_in_the_order_of_the_text() -> None:
    statement = write("{{ looked_at }}, {{ experiment_key }}, {{ iteration_started_at }}, {{ experiment_key }}", "?")
    assert statement.sql == "?, ?, ?, ?"
    at = STARTED_AT + timedelta(days=10)
    assert statement.parameters == (at, "bold-checkout-button", STARTED_AT, "bold-checkout-button")


def test_moments_come_as_text_and_as_epoch_too() -> None:
    statement = write("{{ iteration_started_at.text }}, {{ iteration_started_at.epoch }}")
    assert statement.parameters == ("2026-01-05 09:00:00", 1767603600)


def test_a_list_becomes_as_many_placeholders() -> None:
    statement = write("treatment_id IN {{ treatment_ids }}")
    assert statement == Statement("treatment_id IN (%s, %s)", ("id-classic", "id-bold"))


def test_treatments_can_be_looped_over() -> None:
    statement = write(
        "{% for treatment in treatments %}WHEN {{ treatment.name }} THEN {{ treatment.id }}"
        "{% if treatment.baseline %} -- baseline\n{% endif %}{% endfor %}"
    )
    assert statement.sql == "WHEN %s THEN %s -- baseline\nWHEN %s THEN %s"
    assert statement.parameters == ("Classic", "id-classic", "Bold", "id-bold")


def test_the_task_s_context_is_there_but_the_iteration_s_names_win() -> None:
    statement = write("SELECT {{ experiment_key }} FROM {{ params.table }}", params={"table": "t"}, experiment_key=1)
    assert statement == Statement("SELECT %s FROM t", ("bold-checkout-button",))


def test_a_value_that_is_only_compared_is_not_bound() -> None:
    statement = write("{% if experiment_key == 'bold-checkout-button' %}SELECT 1{% endif %}")
    assert statement == Statement("SELECT 1", ())


@pytest.mark.parametrize("name", ["iteration_start", "treatment_id"])
def test_a_misspelt_name_is_an_error(name: str) -> None:
    with pytest.raises(jinja2.UndefinedError, match=name):
        write(f"{{{{ {name} }}}}")


BURN_IN, MATURITY, NONE = timedelta(days=2), timedelta(days=7), timedelta()
COHORT = "exposed_at BETWEEN {{ exposed_after }} AND {{ exposed_before }}"


def cut(text: str, burn_in: timedelta = BURN_IN, maturity: timedelta = MATURITY) -> Statement:
    context = look_context(10, burn_in=burn_in, maturity=maturity)
    return write_statement(jinja2.Environment().from_string(text), context, "%s", {})


def test_units_that_are_too_early_or_too_young_are_bound_out() -> None:
    assert cut(COHORT).parameters == (STARTED_AT + timedelta(days=2), STARTED_AT + timedelta(days=3))
    assert cut(COHORT, NONE, NONE).parameters == (STARTED_AT, STARTED_AT + timedelta(days=10))


def test_a_query_that_counts_young_units_is_refused() -> None:
    told = r"the policy sets maturity, .* AND exposed_at <= \{\{ exposed_before \}\}, or remove maturity"
    with pytest.raises(BindingError, match=told):
        cut("exposed_at > {{ exposed_after }}")
    assert len(cut("exposed_at > {{ exposed_after }}", maturity=NONE).parameters) == 1


def test_a_query_that_counts_early_units_is_refused() -> None:
    told = r"the policy sets burn_in, .* AND exposed_at >= \{\{ exposed_after \}\}, or remove burn_in"
    with pytest.raises(BindingError, match=told):
        cut("exposed_at < {{ exposed_before.text }}")
    assert len(cut("exposed_at < {{ exposed_before.text }}", burn_in=NONE).parameters) == 1
