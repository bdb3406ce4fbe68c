"""Handle access tokens, which LaunchDarkly shows without their values (LaunchDarkly REST docs, Access tokens)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import not_found
from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.serializers.members import access_token

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import Token


def get_token(request: Request) -> Response:
    """GET an access token by id, without its value. Other members' tokens are for administrators only."""
    asked = request.params["id"]
    token = next((token for token in request.world.tokens.values() if token.id == asked), None)
    if token is None or not _may_see(request.token, token):
        raise not_found(f"token {asked!r} not found")
    return Response(200, access_token(request.world, token))


def _may_see(caller: Token, token: Token) -> bool:
    return caller.role == "admin" or token.member_id in (None, caller.member_id)
