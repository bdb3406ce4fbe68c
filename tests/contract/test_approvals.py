"""LaunchDarkly's own clients ask for the approval of a flag's change, review it, and apply it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from contract.checkout import IN_ENVIRONMENT
from contract.official import refused
from support.reviewers import add_reviewer

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import OfficialClient

HERE: dict[str, Any] = {**IN_ENVIRONMENT, "feature_flag_key": "pricing-page"}
ASKED = {"description": "Turn it off", "instructions": [{"kind": "turnFlagOff"}], "comment": "for the sale"}


def ask(client: OfficialClient) -> str:
    made = client.approvals.post_approval_request_for_flag(**HERE, create_flag_config_approval_request_request=ASKED)
    assert (made.status, made["reviewStatus"], made["status"]) == (201, "pending", "pending")
    found: str = made["_id"]
    return found


def test_a_request_is_reviewed_by_another_member_and_applied(client: OfficialClient, emulator: EmulatorServer) -> None:
    asked = ask(client)
    review = {"post_approval_request_review_request": {"kind": "approve", "comment": "fine"}}
    with refused(403):
        client.approvals.post_approval_request_review_for_flag(**HERE, id=asked, **review)
    with refused(400):
        client.approvals.post_approval_request_apply_for_flag(**HERE, id=asked, post_approval_request_apply_request={})
    grace = client.like(token=add_reviewer(emulator))
    approved = grace.approvals.post_approval_request_review_for_flag(**HERE, id=asked, **review)
    applied = client.approvals.post_approval_request_apply_for_flag(
        **HERE, id=asked, post_approval_request_apply_request={"comment": "now"}
    )

    assert (approved["reviewStatus"], applied["status"]) == ("approved", "completed")
    flag = client.feature_flags.get_feature_flag(project_key="demo", feature_flag_key="pricing-page")
    assert flag["environments"]["production"]["on"] is False


def test_requests_are_listed_read_and_deleted(client: OfficialClient) -> None:
    asked = ask(client)

    assert [one["_id"] for one in client.approvals.get_approvals_for_flag(**HERE)["items"]] == [asked]
    assert client.approvals.get_approval_for_flag(**HERE, id=asked)["instructions"] == ASKED["instructions"]
    client.approvals.delete_approval_request_for_flag(**HERE, id=asked)
    with refused(404):
        client.approvals.get_approval_for_flag(**HERE, id=asked)
