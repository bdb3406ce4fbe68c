"""Serialize members, alone and as the maintainer of something, and their access tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.serializers.links import link, resource_links
from airflow_provider_launchdarkly.emulator.state.models import object_id

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON
    from airflow_provider_launchdarkly.emulator.state.generations import Generation
    from airflow_provider_launchdarkly.emulator.state.models import Member, Token, World


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


def access_token(world: World, token: Token) -> dict[str, JSON]:
    """Return the JSON of an access token, its value obscured but for the last four characters."""
    owner = token.member_id or next(iter(world.members))
    representation: dict[str, JSON] = {
        "_id": token.id,
        "ownerId": owner,
        "memberId": owner,
        "name": token.name,
        "token": token.value[-4:],
        "serviceToken": token.member_id is None,
        "creationDate": 0,
        "lastModified": 0,
        "defaultApiVersion": 20240415,
        "_links": resource_links("/api/v2/tokens", token.id),
    }
    if token.role == "custom":
        return {**representation, "customRoleIds": [object_id(world.seed, "role/custom")]}
    return {**representation, "role": token.role}


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
