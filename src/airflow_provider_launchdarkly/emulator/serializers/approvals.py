"""Serialize approval requests."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.serializers.links import link, project_path

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest, Review
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.models import Project


def approval_request(project: Project, found: ApprovalRequest) -> dict[str, JSON]:
    """Return the JSON of an approval request for a flag (`FlagConfigApprovalRequestResponse`)."""
    here = (
        f"{project_path(project.key)}/flags/{quote(found.flag_key, safe='')}/environments/"
        f"{quote(found.environment_key, safe='')}/approval-requests"
    )
    representation: dict[str, JSON] = {
        "_id": found.id,
        "_version": found.version,
        "creationDate": found.created_at,
        "serviceKind": "launchdarkly",
        "description": found.description,
        "reviewStatus": found.review_status,
        "allReviews": [_review(review) for review in found.reviews],
        "notifyMemberIds": list(found.notify_member_ids),
        "status": found.status,
        "instructions": [dict(instruction) for instruction in found.instructions],
        "conflicts": [],
        "_links": {"parent": link(here), "self": link(f"{here}/{found.id}")},
    }
    optional: dict[str, JSON] = {
        "requestorId": found.requestor_id,
        "notifyTeamKeys": list(found.notify_team_keys) or None,
        "appliedDate": found.applied_at,
        "appliedByMemberId": found.applied_by_member_id,
        "appliedByServiceTokenId": found.applied_by_service_token_id,
    }
    return representation | {name: value for name, value in optional.items() if value is not None}


def _review(review: Review) -> dict[str, JSON]:
    representation: dict[str, JSON] = {"_id": review.id, "kind": review.kind, "creationDate": review.at}
    optional = {
        "comment": review.comment,
        "memberId": review.member_id,
        "serviceTokenId": review.service_token_id,
    }
    return representation | {name: value for name, value in optional.items() if value is not None}
