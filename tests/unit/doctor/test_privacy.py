"""The summary and the JSON hold no token, no key of the account, no host and no word of others."""

from __future__ import annotations

import json
import string
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_provider_launchdarkly.api.errors import AuthenticationError
from airflow_provider_launchdarkly.api.failed_call import Refusal
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.likeness import Likeness
from airflow_provider_launchdarkly.doctor.report import as_json, line, summary
from airflow_provider_launchdarkly.doctor.words import Key, Keys, Placeholders, Told, say
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import connect

if TYPE_CHECKING:
    from .conftest import Doctor

# Long enough to stand nowhere by chance.
SECRET = st.text(string.ascii_letters + string.digits + "-_.", min_size=12, max_size=40)


@settings(max_examples=50)
@given(secrets=st.lists(SECRET, min_size=5, max_size=5, unique=True))
def test_a_summary_holds_no_key_and_no_foreign_word(secrets: list[str]) -> None:
    experiment, metric, host, words, code = secrets
    error = AuthenticationError(f"no {words}", refusal=Refusal(401, code=code, message=words))
    findings = [
        Finding("a", Status.FINE, say("{e} on {h}", e=Key("experiment", experiment), h=Key("host", host))),
        Finding(
            "b", Status.MISSING, say("{m}", m=Keys("metric", (metric, experiment))), say("see {e}", e=Told.of(error))
        ),
        Finding("c", Status.FAILED, say("{e}", e=Told.of(ValueError(words)))),
    ]
    said = summary(findings) + json.dumps(as_json(findings, Likeness()))
    assert [secret for secret in secrets if secret in said] == []
    shown = "\n".join(map(line, findings))
    assert [secret for secret in (experiment, metric, host, words) if secret not in shown] == []


def test_a_name_keeps_its_placeholder_and_no_two_names_share_one() -> None:
    placeholders = Placeholders()
    names = [placeholders.of(Key(*key)) for key in (("flag", "a"), ("flag", "b"), ("metric", "a"), ("flag", "a"))]
    assert names == ["flag-1", "flag-2", "metric-1", "flag-1"]


def test_braces_in_a_key_are_shown_as_they_are() -> None:
    assert say("{k}", k=Key("flag", "{0} {k}")).open() == "'{0} {k}'"


def names_of(emulator: Any) -> set[str]:
    """Every key, id and name of the account that is the customer's."""
    found = set()
    for project in emulator.world.projects.values():
        found |= {
            project.key,
            project.id,
            *project.metrics,
            *project.metric_groups,
            *project.flags,
            *project.environments,
        }
        found |= {environment.id for environment in project.environments.values()}
        found |= {environment.sdk_key for environment in project.environments.values()}
        for flag in project.flags.values():
            found |= {variation.id for variation in flag.variations} | {str(v.name) for v in flag.variations}
        for metric in project.metrics.values():
            found |= {metric.id, metric.version_id, metric.name}
        for experiment in project.experiments.values():
            found |= {experiment.key, experiment.id, experiment.current.id}
            found |= {treatment.id for treatment in experiment.current.treatments}
    found |= {token.value for token in emulator.world.tokens.values()} | {t.id for t in emulator.world.tokens.values()}
    return found | set(emulator.world.members) | {emulator.world.account_id}


@pytest.mark.parametrize("fault", [None, 401, 403, 404, 500])
@pytest.mark.parametrize("operation", ["get_project", "get_metric", "get_experiment", "get_experiment_results"])
def test_a_real_visit_gives_nothing_away(
    patient: EmulatorServer,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    operation: str,
    fault: int | None,
) -> None:
    connect(monkeypatch, patient.url, retry_budget=0)
    secrets = patient.call(names_of) | {patient.url, patient.url.removeprefix("http://")}
    if fault:
        patient.fault(operation, "status", status=fault, message=" ".join(sorted(secrets)), probability=1.0)
    visit = doctor()
    pasted = visit.out.partition("For a bug report")[2] + json.dumps(visit.report)
    # Words of everyday language that are names in the emulator's world too.
    ordinary = {"demo", "production", "test", "New", "Present"}
    assert [secret for secret in secrets - ordinary if secret in pasted] == []
    assert "'demo'" not in pasted
    assert patient.token not in visit.out + visit.err
