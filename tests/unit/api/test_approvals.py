"""A change of a flag is asked for once, applied once, and what keeps it from being applied says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    ConfigurationError,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.models import ApprovalRequestPost, OtherFlagInstruction
from airflow_provider_launchdarkly.api.writes.approvals import ApprovalDeclinedError, NotApprovedYetError
from support.reviewers import add_reviewer

from .conftest import ENV, Driver

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "pricing-page"
POST = ApprovalRequestPost(description="Turn it on", instructions=({"kind": "turnFlagOn"},))
FAULTS: dict[str, dict[str, Any]] = {
    "closed before": {"fault": "close_before"},
    "closed after": {"fault": "close_after"},
    "500 after it took effect": {"fault": "status_after", "status": 500},
    "503": {"fault": "status", "status": 503},
    "429": {"fault": "status", "status": 429},
}


@pytest.fixture
def demanding(emulator: EmulatorServer) -> EmulatorServer:
    """An emulator in which every change of a flag needs an approval."""
    emulator.switch(flag_approvals="everywhere")
    return emulator


@pytest.fixture
def reviewer(emulator: EmulatorServer) -> Iterator[LaunchDarklyClient]:
    """Another member's client."""
    with LaunchDarklyClient(emulator.url, add_reviewer(emulator)) as client:
        yield client


def ask(driver: Driver, post: ApprovalRequestPost = POST) -> Any:
    return driver.run(writes.request_approval(ENV, FLAG, post))


def is_on(driver: Driver) -> bool:
    return bool(driver.send(endpoints.get_flag("demo", FLAG)).value.environments["production"].on)


def test_a_change_is_applied_where_it_cannot_be_made(
    driver: Driver, demanding: EmulatorServer, reviewer: LaunchDarklyClient
) -> None:
    driver.run(writes.turn_flag(ENV, "search-ranking", on=True))  # it is on already: nothing to approve
    before = is_on(driver)
    with pytest.raises(ApprovalRequiredError):
        driver.run(writes.turn_flag(ENV, FLAG, on=not before))
    kind = "turnFlagOff" if before else "turnFlagOn"
    asked = ask(driver, ApprovalRequestPost(description="Turn it", instructions=({"kind": kind},))).value
    reviewer.send(endpoints.review_approval_request(ENV, FLAG, asked.id, "approve", comment="fine"))

    applied = driver.run(writes.apply_approval(ENV, FLAG, asked.id, comment="now"))

    assert (applied.changed, applied.value.applied, is_on(driver)) == (True, True, not before)
    assert applied.value.all_reviews[0].comment == "fine"


@pytest.mark.parametrize("fault", FAULTS)
def test_it_is_asked_for_once_and_applied_once(
    driver: Driver, emulator: EmulatorServer, reviewer: LaunchDarklyClient, fault: str
) -> None:
    emulator.fault("post_approval_request_for_flag", **FAULTS[fault])
    first, again = ask(driver), ask(driver)
    assert (first.changed, again.changed, first.value.id == again.value.id) == (True, False, True)
    assert len(emulator.effects("approval_request.created")) == 1

    reviewer.send(endpoints.review_approval_request(ENV, FLAG, first.value.id, "approve"))
    emulator.fault("post_approval_request_apply_for_flag", **FAULTS[fault])
    for _ in range(2):
        driver.run(writes.apply_approval(ENV, FLAG, first.value.id))
    assert len(emulator.effects("approval_request.applied")) == 1


def test_another_change_or_another_occasion_is_asked_for_by_itself(driver: Driver) -> None:
    asked = [
        ask(driver, post).value.id
        for post in (
            POST,
            POST.model_copy(update={"description": "Turn it on for the sale"}),
            POST.model_copy(update={"instructions": ({"kind": "turnFlagOff"},)}),
        )
    ]
    assert len(set(asked)) == 3


def test_what_was_declined_is_not_applied_and_may_be_asked_for_again(
    driver: Driver, reviewer: LaunchDarklyClient
) -> None:
    declined = ask(driver).value
    reviewer.send(endpoints.review_approval_request(ENV, FLAG, declined.id, "decline", comment="not on Friday"))

    with pytest.raises(ApprovalDeclinedError, match=r"was declined \(not on Friday\): ask for another change"):
        driver.run(writes.apply_approval(ENV, FLAG, declined.id))
    assert ask(driver).value.id != declined.id


def test_what_nobody_approved_yet_is_not_applied(driver: Driver, emulator: EmulatorServer) -> None:
    asked = ask(driver).value
    with pytest.raises(NotApprovedYetError, match="wait until somebody approves it"):
        driver.run(writes.apply_approval(ENV, FLAG, asked.id))
    with pytest.raises(InvalidRequestError, match="is pending, not approved"):
        driver.send(endpoints.apply_approval_request(ENV, FLAG, asked.id))
    assert emulator.effects("approval_request.applied") == []


def test_nobody_approves_a_request_of_their_own(driver: Driver) -> None:
    asked = ask(driver).value
    with pytest.raises(PermissionDeniedError, match="your own approval request"):
        driver.send(endpoints.review_approval_request(ENV, FLAG, asked.id, "approve"))
    said = driver.send(endpoints.review_approval_request(ENV, FLAG, asked.id, "comment", comment="please")).value
    assert (said.review_status, said.all_reviews[0].kind) == ("pending", "comment")


def test_a_request_that_somebody_deleted_is_not_found(driver: Driver) -> None:
    asked = ask(driver).value
    driver.send(endpoints.delete_approval_request(ENV, FLAG, asked.id))
    with pytest.raises(NotFoundError, match=asked.id):
        driver.run(writes.apply_approval(ENV, FLAG, asked.id))


def test_instructions_that_cannot_be_carried_out_are_refused_at_once(driver: Driver, emulator: EmulatorServer) -> None:
    with pytest.raises(InvalidRequestError, match="unknown instruction 'turnFlagUp'"):
        ask(driver, ApprovalRequestPost(description="d", instructions=({"kind": "turnFlagUp"},)))
    assert emulator.effects("approval_request.created") == []


def test_a_request_without_instructions_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ConfigurationError, match="instructions"):
        ApprovalRequestPost.checked({"description": "d", "instructions": []})


def test_requests_are_in_a_snapshot(driver: Driver, emulator: EmulatorServer) -> None:
    asked = ask(driver).value
    snapshot = emulator.snapshot()
    driver.send(endpoints.delete_approval_request(ENV, FLAG, asked.id))
    emulator.load(snapshot)
    assert driver.send(endpoints.list_approval_requests(ENV, FLAG)).value.items[0].id == asked.id


def test_a_change_that_would_break_a_pending_request_is_refused_and_names_it(driver: Driver) -> None:
    rule = driver.send(endpoints.get_flag("demo", FLAG)).value.environments["production"].rules[0].id
    bold = driver.send(endpoints.get_flag("demo", FLAG)).value.variations[0].id
    wanted = {"kind": "updateRuleVariationOrRollout", "ruleId": rule, "variationId": bold}
    asked = ask(driver, ApprovalRequestPost(description="Serve", instructions=(wanted,))).value
    remove = OtherFlagInstruction.checked({"kind": "removeRule", "ruleId": rule})

    with pytest.raises(InvalidRequestError, match=f"would make approval request '{asked.id}' fail.*ignoreConflicts"):
        driver.send(endpoints.patch_flag(ENV, FLAG, [remove]))
    driver.run(writes.turn_flag(ENV, FLAG, on=False))  # it breaks nothing
    driver.send(endpoints.patch_flag(ENV, FLAG, [remove], ignore_conflicts=True))

    assert driver.send(endpoints.get_flag("demo", FLAG)).value.environments["production"].rules == ()
    # It cannot be applied any more, so a further change does not break it.
    driver.run(writes.turn_flag(ENV, FLAG, on=True))


def test_a_change_breaks_no_request_that_was_declined(driver: Driver, reviewer: LaunchDarklyClient) -> None:
    rule = driver.send(endpoints.get_flag("demo", FLAG)).value.environments["production"].rules[0].id
    remove = {"kind": "removeRule", "ruleId": rule}
    declined = ask(driver, ApprovalRequestPost(description="Remove", instructions=(remove,))).value
    reviewer.send(endpoints.review_approval_request(ENV, FLAG, declined.id, "decline"))
    driver.send(endpoints.patch_flag(ENV, FLAG, [OtherFlagInstruction.checked(remove)]))
