"""The statement of a look, run for real, beside the same computed unit by unit in plain Python."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from airflow_provider_launchdarkly.decision.evidence import Evidence
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json, evidence_to_json
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Primary
from airflow_provider_launchdarkly.decision.summary import covered
from airflow_provider_launchdarkly.evidence.sql_rows import SqlResultsError, evidence_from_rows
from airflow_provider_launchdarkly.evidence.warehouse.definition import (
    WHOLE_ROW,
    Aggregation,
    Cap,
    EventsTable,
    ExportLook,
    ExposuresTable,
    MetricDefinition,
)
from airflow_provider_launchdarkly.evidence.warehouse.statement import write_statement
from support.export_reference import Reference
from support.export_tables import Event, ExportTables, Exposure
from support.look_contexts import STARTED_AT, look_context

CLASSIC, BOLD = "id-classic", "id-bold"
DAY = timedelta(days=1)
LOOK = ExportLook(
    iteration_id="it-1",
    flag_key="bold-checkout-button",
    unit_kind="user",
    treatments={"v-classic": CLASSIC, "v-bold": BOLD},
    started_at=STARTED_AT,
    looked_at=STARTED_AT + 10 * DAY,
    exposed_after=STARTED_AT,
    exposed_before=STARTED_AT + 10 * DAY,
    environment_id="env-1",
)


def evidence(
    tables: ExportTables, metrics: Sequence[MetricDefinition], look: ExportLook = LOOK, where: str | None = None
) -> Evidence:
    statement = write_statement(metrics, look, ExposuresTable(), tables.schema, tables.dialect, where=where)
    columns, rows = tables.rows(statement)
    policy = Policy(primary=Primary(metric=metrics[0].key))
    return evidence_from_rows(look_context(10), policy, columns, rows, {metric.key: None for metric in metrics})


def check_all(
    tables: ExportTables,
    metrics: Sequence[MetricDefinition],
    exposures: Sequence[Exposure],
    events: Sequence[Event],
    look: ExportLook = LOOK,
) -> Evidence:
    """Run the statement, and hold each metric of each treatment against the reference."""
    tables.fill(exposures, events)
    found = evidence(tables, metrics, look)
    reference = Reference(look, exposures, events)
    for metric in metrics:
        for measured in found.metric(metric.key).measurements:
            expected = reference.of(metric, measured.treatment_id)
            numbers = [each if each is None else pytest.approx(each, rel=1e-9) for each in expected]
            assert list(measured[1:4]) == numbers, (metric.key, measured.treatment_id)
    assert sum(each.exposed or 0 for each in found.treatments) == len(reference.units.first)
    return found


def people(seed: int = 1, number: int = 400) -> tuple[list[Exposure], list[Event]]:
    """Draw the rows of some people, with everything in them that must not count."""
    chance = random.Random(seed)
    exposures: list[Exposure] = []
    events: list[Event] = []
    for person in range(number):
        unit, at = f"person-{person}", STARTED_AT + chance.uniform(-0.5, 11) * DAY
        own = chance.choice(("v-classic", "v-bold", "v-bold", "v-other"))
        repeats = chance.choice((0, 1, 2, 5))
        exposures += [Exposure(unit, own, at + chance.uniform(0, 3) * DAY) for _ in range(repeats)]
        exposures.append(Exposure(unit, own, at))
        if chance.random() < 0.08:
            exposures.append(Exposure(unit, chance.choice(("v-classic", "v-other")), at + chance.uniform(0, 4) * DAY))
        if chance.random() < 0.2:
            exposures.append(Exposure(unit, "v-classic", at - DAY / 2, **chance.choice(OTHERS)))
        for _ in range(chance.choice((0, 1, 1, 2, 6))):
            key = chance.choice(("bought", "bought", "visited", "visited", "other"))
            value = None if chance.random() < 0.1 else chance.choice((19.99, chance.expovariate(0.01)))
            events.append(Event(unit, key, at + chance.uniform(-20, 10) * DAY / chance.choice((1, 8)), value))
        if chance.random() < 0.3:
            events.append(Event(unit, "bought", at + DAY / 9, 1e6, **chance.choice(({"kind": "device"}, ELSEWHERE))))
    return exposures, events


ELSEWHERE = {"environment": "env-2"}
OTHERS = ({"iteration": "it-0"}, {"kind": "device"}, {"flag": "another-flag"}, ELSEWHERE)
BOUGHT = ("bought",)
PLAIN = (
    MetricDefinition("bought", BOUGHT, Aggregation.OCCURRENCE),
    MetricDefinition("purchases", BOUGHT, Aggregation.COUNT, missing=0),
    MetricDefinition("revenue", BOUGHT, Aggregation.SUM, missing=0),
    MetricDefinition("basket", BOUGHT, Aggregation.AVERAGE),
    MetricDefinition("revenue-or-five", BOUGHT, Aggregation.SUM, missing=5.5),
    MetricDefinition("visited", ("visited",), Aggregation.OCCURRENCE),
    MetricDefinition("visits-of-visitors", ("visited",), Aggregation.COUNT),
)


def test_every_aggregation_with_and_without_a_missing_value(tables: ExportTables) -> None:
    check_all(tables, PLAIN, *people())


@pytest.mark.parametrize(
    "look",
    [
        replace(LOOK, exposed_after=STARTED_AT + 2 * DAY, exposed_before=STARTED_AT + 6 * DAY),
        replace(LOOK, ended_at=STARTED_AT + 5 * DAY),
        replace(LOOK, environment_id=None),
        replace(LOOK, looked_at=STARTED_AT + 3.25 * DAY, exposed_before=STARTED_AT + 3.25 * DAY),
    ],
    ids=["burn-in and maturity", "ended", "any environment", "early"],
)
def test_only_the_rows_of_the_look_count(tables: ExportTables, look: ExportLook) -> None:
    check_all(tables, PLAIN, *people(2), look=look)


def test_covariates_from_before_the_exposure(tables: ExportTables) -> None:
    metrics = [replace(metric, covariate=28 * DAY) for metric in PLAIN]
    check_all(tables, metrics, *people(3))


def test_ratios(tables: ExportTables) -> None:
    purchases = MetricDefinition("purchases", BOUGHT, Aggregation.COUNT, missing=0)
    revenue = MetricDefinition("revenue-per-purchase", BOUGHT, Aggregation.SUM, missing=0, denominator=purchases)
    visits = replace(purchases, key="visits", events=("visited",), missing=None)
    rate = MetricDefinition("purchases-per-visit", BOUGHT, Aggregation.COUNT, missing=0, denominator=visits)
    check_all(tables, [revenue, rate], *people(4))


def test_a_ratio_without_denominators_is_no_data_yet(tables: ExportTables) -> None:
    visits = MetricDefinition("visits", ("visited",), Aggregation.COUNT, missing=0)
    rate = MetricDefinition("purchases-per-visit", BOUGHT, Aggregation.COUNT, missing=0, denominator=visits)
    at = STARTED_AT + DAY
    units = [Exposure(f"{variation}-{unit}", variation, at) for variation in LOOK.treatments for unit in range(3)]
    bought = [Event(row.unit, BOUGHT[0], at + DAY) for row in units]
    visited = [Event(row.unit, "visited", at + DAY) for row in units if row.variation == "v-bold"]
    tables.fill(units, [*bought, *visited])
    found = {each.treatment_id: each[1:3] for each in evidence(tables, [rate, visits]).metric(rate.key).measurements}
    assert found == {CLASSIC: (0, None), BOLD: (3, 1.0)}


def test_a_mean_that_is_large_beside_the_deviation_keeps_its_variance(tables: ExportTables) -> None:
    exposures, events = people(5)
    events = [event._replace(value=1e7 + (event.value or 0) / 10) for event in events]
    check_all(tables, [MetricDefinition("stamp", BOUGHT, Aggregation.AVERAGE)], exposures, events)


def test_windows_count_only_units_whose_window_is_complete(tables: ExportTables) -> None:
    week, later = (timedelta(), 3 * DAY), (DAY / 2, 5 * DAY)
    metrics = [replace(metric, window=week) for metric in PLAIN]
    metrics += [replace(metric, key=f"later-{metric.key}", window=later, covariate=14 * DAY) for metric in PLAIN]
    metrics += [replace(metric, key=f"open-{metric.key}") for metric in PLAIN]
    check_all(tables, metrics, *people(6))


@pytest.mark.parametrize("ended_at", [None, STARTED_AT + 6 * DAY])
def test_a_window_is_complete_by_the_end_of_the_iteration(tables: ExportTables, ended_at: datetime | None) -> None:
    metrics = [replace(metric, window=(timedelta(), 2 * DAY)) for metric in PLAIN]
    check_all(tables, metrics, *people(7), look=replace(LOOK, ended_at=ended_at))


@pytest.mark.parametrize("with_imputed", [False, True])
def test_caps_at_percentiles_of_all_treatments(tables: ExportTables, with_imputed: bool) -> None:
    cap = Cap(lower=10, upper=92.5, with_imputed=with_imputed)
    metrics = [replace(metric, cap=cap) for metric in PLAIN if metric.aggregation is not Aggregation.OCCURRENCE]
    metrics += [replace(metric, key=f"cuped-{metric.key}", covariate=28 * DAY) for metric in metrics]
    purchases = replace(PLAIN[1], cap=Cap(upper=80))
    metrics.append(replace(PLAIN[2], key="ratio", cap=Cap(lower=5), denominator=purchases))
    check_all(tables, metrics, *people(8))


def test_a_percentile_with_the_error_of_its_order_statistics(tables: ExportTables) -> None:
    metrics = [
        replace(PLAIN[3], key="median", percentile=50),
        replace(PLAIN[3], key="ninth-decile", percentile=90),
        replace(PLAIN[2], key="capped", percentile=75, cap=Cap(upper=95)),
    ]
    exposures, events = people(9, 900)
    events = [event._replace(value=(event.value or 1) * (1 + number / 1e6)) for number, event in enumerate(events)]
    found = check_all(tables, metrics, exposures, events)
    assert all(measured.std_dev for measured in found.metric("median").measurements)


def test_a_percentile_of_few_or_equal_values_is_no_data_yet(tables: ExportTables) -> None:
    exposures = [Exposure(f"u{number}", "v-bold", STARTED_AT) for number in range(400)]
    exposures += [Exposure(f"v{number}", "v-classic", STARTED_AT) for number in range(5)]
    events = [Event(exposure.unit, "bought", STARTED_AT + DAY, 9.99) for exposure in exposures]
    tables.fill(exposures, events)
    found = evidence(tables, [replace(PLAIN[3], percentile=95)])
    assert [measured[1:4] for measured in found.metrics[0].measurements] == [(0, None, None)] * 2
    assert [treatment.exposed for treatment in found.treatments] == [5, 400]


FUNNEL = MetricDefinition("funnel", ("visited", "other", "bought"), Aggregation.OCCURRENCE)


def test_funnels_with_and_without_windows_and_numbers(tables: ExportTables) -> None:
    metrics = [
        FUNNEL,
        PLAIN[0],
        MetricDefinition("twice", ("bought", "bought"), Aggregation.OCCURRENCE, window=(timedelta(), 6 * DAY)),
        MetricDefinition("after-visit", ("visited", "bought"), Aggregation.SUM, missing=0, covariate=20 * DAY),
    ]
    exposures, events = people(10)
    found = check_all(tables, metrics, exposures, events)
    assert all(measured.mean for metric in found.metrics[1:] for measured in metric.measurements)


def test_the_steps_of_a_funnel_are_in_order_or_received_together(tables: ExportTables) -> None:
    orders = {
        "all": ("visited", "other", "bought"),
        "twice over": ("bought", "visited", "bought", "other", "bought"),
        "backwards": ("bought", "other", "visited"),
        "one is missing": ("visited", "bought"),
        "first again": ("visited", "other", "visited"),
    }
    exposures = [Exposure(unit, "v-bold", STARTED_AT) for unit in (*orders, "at once", "before")]
    events = [
        Event(unit, key, STARTED_AT + number * timedelta(microseconds=1))
        for unit, keys in orders.items()
        for number, key in enumerate(keys)
    ]
    events += [Event("at once", key, STARTED_AT) for key in FUNNEL.events]
    events += [Event("before", key, STARTED_AT + (number - 1) * DAY) for number, key in enumerate(FUNNEL.events)]
    tables.fill(exposures, events)
    assert evidence(tables, [FUNNEL]).metrics[0].measurements[1].mean == 3 / 7  # two in order, and `at once`


def test_metrics_of_several_tables_are_read_together(tables: ExportTables) -> None:
    exposures, events = people(11)
    tables.fill(exposures, events)
    at = "TEXT" if tables.dialect == "sqlite" else "TIMESTAMP"
    tables.execute(f'CREATE TABLE {tables.table("orders")} ("person" TEXT, "paid" INTEGER, "at time" {at})')
    tables.execute(
        f"INSERT INTO {tables.table('orders')} SELECT context_key, 3, received_time "
        f"FROM {tables.table('metric_events')} WHERE event_key = 'bought' AND context_kind = 'user'"
        if tables.dialect == "sqlite"
        else f"INSERT INTO {tables.table('orders')} SELECT context_key, 3, received_time AT TIME ZONE 'UTC' "
        f"FROM {tables.table('metric_events')} WHERE event_key = 'bought' AND context_kind = 'user'"
    )
    orders = EventsTable("orders", None, "person", None, "paid", '"at time"', None, WHOLE_ROW)
    metrics = [
        MetricDefinition("orders", (), Aggregation.COUNT, missing=0, events_table=orders),
        MetricDefinition("paid", (), Aggregation.SUM, missing=0, events_table=orders, covariate=30 * DAY),
    ]
    found = evidence(tables, [*PLAIN, *metrics], replace(LOOK, environment_id=None))
    counts = {metric.key: [measured.mean for measured in metric.measurements] for metric in found.metrics}
    assert counts["orders"] == pytest.approx(counts["purchases"])
    reference = Reference(replace(LOOK, environment_id=None), exposures, [e._replace(value=3) for e in events])
    for measured in found.metric("paid").measurements:
        expected = reference.of(replace(PLAIN[2], covariate=30 * DAY), measured.treatment_id)
        assert measured[1:4] == pytest.approx(tuple(expected), rel=1e-9)


def test_repeated_events_are_refused_where_the_table_has_ids(tables: ExportTables) -> None:
    exposures = [Exposure(f"u{number}", "v-bold", STARTED_AT) for number in range(4)]
    events = [Event(exposure.unit, "bought", STARTED_AT + DAY, 9.99, id=exposure.unit) for exposure in exposures]
    tables.fill(exposures, [*events, events[0]])
    with pytest.raises(SqlResultsError, match=r"repeated_events.*1 events stand more than once"):
        evidence(tables, PLAIN[2:3])
    tables.execute(f"DELETE FROM {tables.table('metric_events')} WHERE export_key = 'u0'")
    assert evidence(tables, PLAIN[2:3]).metrics[0].measurements[1].units == 4


@pytest.mark.parametrize("repeated", [Event("u0", "bought", STARTED_AT + DAY, 9.99), Event("u0", "seen", STARTED_AT)])
@pytest.mark.parametrize("beside", [True, False], ids=["beside a table with ids", "alone"])
def test_without_ids_repeated_events_are_known_by_the_rest_of_their_rows(
    tables: ExportTables, repeated: Event, beside: bool
) -> None:
    exposures = [Exposure(f"u{number}", "v-bold", STARTED_AT) for number in range(2)]
    different = [
        Event("u0", "bought", STARTED_AT + DAY, 9.5),
        Event("u0", "bought", STARTED_AT + DAY * 2, 9.99),
        Event("u1", "bought", STARTED_AT + DAY, 9.99),
        Event("u0", "seen", STARTED_AT + DAY),
    ]
    tables.fill(exposures, [*different, repeated])
    rows = EventsTable(id=WHOLE_ROW)
    metrics = [
        MetricDefinition("spent", ("bought",), Aggregation.SUM, missing=0, events_table=rows),
        MetricDefinition("views", ("seen",), Aggregation.COUNT, missing=0, events_table=rows),
        *(PLAIN[:1] if beside else []),
    ]
    assert evidence(tables, metrics).metrics[0].key == "spent"
    tables.fill(events=[repeated._replace(at=STARTED_AT + 20 * DAY)] * 2)  # after the look
    assert evidence(tables, metrics).metrics[0].key == "spent"
    tables.fill(events=[repeated])
    with pytest.raises(SqlResultsError, match=r"1 events stand more than once.*write `id: null`"):
        evidence(tables, metrics)
    own = [replace(metric, events_table=EventsTable(id=None)) for metric in metrics]
    assert evidence(tables, own).metrics[0].key == "spent"
    once = [replace(metric, aggregation=Aggregation.OCCURRENCE) for metric in metrics]
    assert evidence(tables, once).metrics[0].measurements[1].mean == 1.0


def test_a_view_that_repeats_exposures_changes_nothing(tables: ExportTables) -> None:
    exposures, events = people(12, 60)
    tables.fill(exposures, events)
    once = evidence(tables, PLAIN)
    tables.fill(exposures * 2)
    assert evidence(tables, PLAIN) == once


def test_a_condition_of_the_users_leaves_exposures_out(tables: ExportTables) -> None:
    attributes = {"human": '{"bot": false, "share": "5%"}', "robot": '{"bot": true}'}
    tables.fill([Exposure(unit, "v-bold", STARTED_AT, attributes=each) for unit, each in attributes.items()])
    condition = "context_attributes LIKE '%\"bot\": false%' -- no bots"
    assert evidence(tables, PLAIN, where=condition).treatments[1].exposed == 1
    assert evidence(tables, PLAIN).treatments[1].exposed == 2


def test_one_event_is_not_two_steps_of_a_funnel(tables: ExportTables) -> None:
    twice = MetricDefinition("twice", ("bought", "bought"), Aggregation.OCCURRENCE)
    exposures = [Exposure(unit, "v-bold", STARTED_AT) for unit in ("once", "again")]
    events = [
        Event("once", "bought", STARTED_AT),
        *(Event("again", "bought", STARTED_AT + day * DAY) for day in (0, 1)),
    ]
    tables.fill(exposures, events)
    assert evidence(tables, [twice]).metrics[0].measurements[1].mean == 1 / 2


def test_an_imputed_value_is_not_cut_off(tables: ExportTables) -> None:
    exposures = [Exposure(f"u{number}", "v-bold", STARTED_AT) for number in range(20)]
    spent = [5.0, 120.0, 135.0, 140.0, 145.0, 150.0, 155.0, 160.0, 170.0, 950.0]
    events = [Event(f"u{number}", "bought", STARTED_AT, value) for number, value in enumerate(spent)]
    tables.fill(exposures, events)
    for with_imputed, total in ((False, sum(spent) + 115 - 780), (True, sum(spent) - 780)):
        cap = Cap(lower=10.0, upper=95.0 if with_imputed else 90.0, with_imputed=with_imputed)
        metric = MetricDefinition("revenue", ("bought",), Aggregation.SUM, missing=0.0, cap=cap)
        assert evidence(tables, [metric]).metrics[0].measurements[1].mean == pytest.approx(total / 20)


def test_the_evidence_says_what_its_rows_cover(tables: ExportTables) -> None:
    exposures, events = people(13)
    found = check_all(tables, PLAIN[:1], exposures, events)
    reference = Reference(LOOK, exposures, events)
    assert found.coverage is not None
    assert found.coverage.crossovers == reference.units.crossovers > 0
    assert found.coverage.without_events == {"bought": sum(not value for value in reference.values(PLAIN[0]).values())}
    assert found.coverage.last_event is not None
    assert found.coverage.last_batch is not None
    assert found.coverage.last_event <= found.coverage.last_batch <= LOOK.looked_at
    assert found.coverage.lateness == LOOK.looked_at - found.coverage.last_batch
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json(found)))) == found
    assert f"{reference.units.crossovers} units saw several treatments" in covered(found.coverage)
