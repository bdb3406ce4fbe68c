"""Handle the account's members, who maintain experiments, metrics and flags (LaunchDarkly REST docs)."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import filters
from airflow_provider_launchdarkly.emulator.serializers import members as serialize


def get_members(request: Request) -> Response:
    """GET the account's members, by `filter` and `sort`."""
    found = filters.members(request.world.members.values(), request.query_value("filter"), request.query_value("sort"))
    page, paging = request.page(found)
    items = [serialize.member(member, request.now) for member in page]
    return Response(200, {"items": items, "totalCount": len(found), "_links": paging})


def get_member(request: Request) -> Response:
    """GET one member by id. `me` is the token's member."""
    asked = request.params["id"]
    member = request.world.members.get((request.token.member_id or "") if asked == "me" else asked)
    if member is None:
        raise not_found(f"member {asked!r} not found")
    return Response(200, serialize.member(member, request.now))
