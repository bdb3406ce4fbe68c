"""Evidence goes through JSON without loss, whatever it is."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.decision.evidence import (
    EarlierLook,
    Evidence,
    Measurement,
    MetricEvidence,
    ReleaseEvidence,
    Spent,
    Standing,
    TreatmentEvidence,
)
from airflow_provider_launchdarkly.decision.evidence_json import evidence_from_json, evidence_to_json
from airflow_provider_launchdarkly.decision.judge import decide
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import Direction
from support.audit_records import evidence

numbers = st.floats(allow_nan=False, allow_infinity=False)
counts = st.integers(0, 10**12)
durations = st.timedeltas(timedelta(0), timedelta(days=3650))
names = st.text(min_size=1, max_size=20)


@st.composite
def earlier_looks(draw: st.DrawFn, ids: list[str]) -> EarlierLook:
    """Draw an earlier look; treatments without data are left out there."""
    measured = st.builds(Measurement, st.just(""), st.integers(1, 10**12), numbers, numbers.map(abs), st.none())
    return EarlierLook(
        draw(durations),
        tuple(
            MetricEvidence(
                key, tuple(draw(measured)._replace(treatment_id=arm) for arm in draw(st.sets(st.sampled_from(ids))))
            )
            for key in draw(st.lists(names, max_size=3, unique=True))
        ),
    )


@st.composite
def evidences(draw: st.DrawFn) -> Evidence:
    ids = draw(st.lists(names, min_size=2, max_size=4, unique=True))
    measurements = st.builds(
        Measurement,
        st.sampled_from(ids),
        counts,
        st.none() | numbers,
        st.none() | numbers.map(abs),
        st.none() | st.floats(0, 1),
    )
    shares = st.none() | st.floats(0, 100)
    return Evidence(
        elapsed=draw(durations),
        treatments=tuple(
            TreatmentEvidence(arm, draw(names), number == 0, draw(shares), draw(st.none() | counts))
            for number, arm in enumerate(ids)
        ),
        metrics=tuple(
            MetricEvidence(
                key, tuple(draw(st.lists(measurements, max_size=4))), draw(st.sampled_from([None, *Direction]))
            )
            for key in draw(st.lists(names, max_size=3, unique=True))
        ),
        primary_metric=draw(st.none() | names),
        started_at=draw(st.none() | st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC))),  # noqa: DTZ001
        probability_of_mismatch=draw(st.none() | st.floats(0, 1)),
        unchanged_for=draw(st.none() | durations),
        earlier=tuple(draw(st.lists(earlier_looks(ids), max_size=3))),
        standing=draw(st.none() | st.builds(Standing, names, st.integers(1, 200), names, names)),
        releases=tuple(
            draw(
                st.lists(
                    st.builds(ReleaseEvidence, names, names, names, st.dictionaries(names, names, max_size=2)),
                    max_size=2,
                )
            )
        ),
        spent=draw(
            st.none()
            | st.builds(Spent, st.floats(0, 1), st.floats(0, 1), durations, st.lists(names, max_size=2).map(tuple))
        ),
        repeats=draw(st.integers(0, 9)),
    )


@given(evidences())
def test_evidence_survives_json(before: Evidence) -> None:
    assert evidence_from_json(json.loads(json.dumps(evidence_to_json(before), allow_nan=False))) == before


def test_the_same_verdict_follows_from_evidence_that_was_on_record() -> None:
    before = evidence(14)
    after = evidence_from_json(json.loads(json.dumps(evidence_to_json(before))))
    assert decide(Policy(), after).to_json() == decide(Policy(), before).to_json()
