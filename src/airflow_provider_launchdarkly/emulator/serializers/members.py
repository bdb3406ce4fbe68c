"""Serialize members, alone and as the maintainer of something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.serializers.links import link, resource_links

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.generations import Generation
    from airflow_provider_launchdarkly.emulator.state.models import Member


def member(member: Member, now: int) -> dict[str, JSON]:
    """Return the JSON of a member."""
    return {
        "_id": member.id,
        "firstName": member.first_name,
        "lastName": member.last_name,
        "role": member.role,
        "email": member.email,
        "_pendingInvite": False,
        "_verified": True,
        "customRoles": [],
        "mfa": "disabled",
        "_lastSeen": now,
        "creationDate": 0,
        "_links": resource_links("/api/v2/members", member.id),
    }


def maintainer(member: Member, api: Generation) -> dict[str, JSON]:
    """Return the JSON of a metric group's maintainer (`MaintainerRep`), as the generation has it."""
    summary = {
        "_id": member.id,
        "firstName": member.first_name,
        "lastName": member.last_name,
        "role": member.role,
        "email": member.email,
        "_links": {"self": link(f"/api/v2/members/{member.id}")},
    }
    if api.has_plain_maintainer:
        return {"member": summary}
    return {"key": member.id, "kind": "member", "_member": summary}
