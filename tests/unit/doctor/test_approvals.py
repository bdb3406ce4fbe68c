"""What the doctor says of approvals: what an environment demands, and what that means for a rollout there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models import Environment
from airflow_provider_launchdarkly.doctor.approvals import REQUESTING, check_approvals
from airflow_provider_launchdarkly.doctor.finding import Finding
from airflow_provider_launchdarkly.doctor.likeness import Likeness
from airflow_provider_launchdarkly.testing import EmulatorServer
from unit.doctor.conftest import Doctor

DEMANDED, NOT_DEMANDED = {"required": True}, {"required": False}


def findings(role: str | None = None, **environment: Any) -> tuple[list[Finding], Likeness]:
    """Check an environment with these settings."""
    found = Environment.model_validate({"key": "production", **environment})
    account: Any = SimpleNamespace(env=EnvironmentRef("demo", "production"), read=lambda _request: found)
    like = Likeness(role=role)
    return list(check_approvals(account, like)), like


def statuses(found: list[Finding]) -> list[str]:
    assert {finding.check for finding in found} == {"approvals"}
    return [finding.status.value for finding in found]


def test_without_approvals_both_lines_are_fine(patient: EmulatorServer, doctor: Doctor) -> None:
    visit = doctor()
    assert visit.lines("approvals") == [
        ("fine", "changes of flags need none in this environment"),
        ("fine", "changes of experiments need none in this environment"),
    ]
    assert not {"flag_approvals", "experiment_approvals"} & visit.report["emulator"]["switches"].keys()


def test_approvals_of_flags_say_what_asks_and_that_it_may_ask(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.switch(flag_approvals="everywhere")
    visit = doctor()
    (demanded, what), (asks, rights), experiments = visit.lines("approvals")
    assert (demanded, asks, experiments[0]) == ("missing", "fine", "fine")
    assert "turn_flag_on of a rollout is asked for by a request" in what
    assert "role admin" in rights
    assert "set launchdarkly_approval in the rollout, and reviewers of tasks" in visit.cures("approvals")
    assert "that set a flag or start a release" in visit.cures("approvals")
    assert visit.report["emulator"]["switches"]["flag_approvals"] == "everywhere"
    assert [status for status, _ in visit.lines("project")] == ["fine"]


def test_approvals_of_experiments_say_what_is_handed_over(patient: EmulatorServer, doctor: Doctor) -> None:
    patient.switch(experiment_approvals="everywhere")
    visit = doctor()
    flags, (demanded, what) = visit.lines("approvals")
    assert (flags[0], demanded) == ("fine", "missing")
    assert "the start of each stage and the stop at the end, a rollback's too, are handed over to a person" in what
    assert "set launchdarkly_approval in the rollout, and notify" in visit.cures("approvals")
    assert visit.report["emulator"]["switches"]["experiment_approvals"] == "everywhere"


def test_settings_that_do_not_name_experiments_say_so_and_what_replaces_airflow_does_then() -> None:
    found, like = findings(approvalSettings=NOT_DEMANDED, resourceApprovalSettings={"segment": DEMANDED})
    assert statuses(found) == ["fine", "unknown"]
    assert "do not name experiments" in found[1].what.open()
    assert found[1].cure is not None
    assert "replaces_airflow has no effect" in found[1].cure.open()
    assert not like.switches


def test_an_environment_without_settings_is_unknown() -> None:
    found, like = findings()
    assert statuses(found) == ["unknown", "unknown"]
    assert not like.switches


@pytest.mark.parametrize(
    ("role", "status"),
    [("writer", "fine"), ("admin", "fine"), ("reader", "missing"), ("custom", "unknown"), (None, "unknown")],
)
def test_the_rights_of_approval_requests_are_told_by_role(role: str | None, status: str) -> None:
    found, _ = findings(role, approvalSettings=DEMANDED, resourceApprovalSettings={"experiment": NOT_DEMANDED})
    assert statuses(found) == ["missing", status, "fine"]
    if found[1].cure is not None:
        assert all(action in found[1].cure.open() for action in REQUESTING)


def test_no_rights_of_requests_are_named_where_nothing_needs_one() -> None:
    found, _ = findings("custom", approvalSettings=NOT_DEMANDED, resourceApprovalSettings={"experiment": DEMANDED})
    assert statuses(found) == ["fine", "missing"]
