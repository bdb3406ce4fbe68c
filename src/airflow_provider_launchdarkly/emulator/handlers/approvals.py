"""Handle approval requests for changes of flags (LaunchDarkly REST docs, Approvals)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.handlers.operation import Request, Response
from airflow_provider_launchdarkly.emulator.rules import approvals as rules
from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
from airflow_provider_launchdarkly.emulator.serializers.approvals import approval_request
from airflow_provider_launchdarkly.emulator.serializers.links import link

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def get_approvals_for_flag(request: Request) -> Response:
    """GET the approval requests for a flag in an environment, newest first."""
    transaction = request.transaction()
    found = rules.requests_of(transaction, request.params["environmentKey"], request.params["featureFlagKey"])
    items = [approval_request(transaction.project, one) for one in found]
    return Response(200, {"items": items, "_links": {"self": link(request.path)}})


def get_approval_for_flag(request: Request) -> Response:
    """GET one approval request."""
    transaction = request.transaction()
    return Response(200, approval_request(transaction.project, _named(request, transaction)))


def post_approval_request_for_flag(request: Request) -> Response:
    """POST an approval request with the instructions of a semantic patch. The response is a 201."""
    transaction = request.transaction()
    transaction.environment(request.params["environmentKey"])
    made = rules.create(
        transaction,
        request.params["environmentKey"],
        request.params["featureFlagKey"],
        RequestBody(request.body),
        request.transaction(),
    )
    return _stored(transaction, made, 201)


def post_approval_request_review_for_flag(request: Request) -> Response:
    """POST a review: `approve`, `decline` or `comment`."""
    transaction = request.transaction()
    body = RequestBody(request.body)
    return _stored(transaction, rules.review(transaction, _named(request, transaction), body, request.token))


def post_approval_request_apply_for_flag(request: Request) -> Response:
    """POST to apply an approved request, which changes the flag."""
    transaction = request.transaction()
    return _stored(transaction, rules.apply(transaction, _named(request, transaction), request.token))


def delete_approval_request_for_flag(request: Request) -> Response:
    """DELETE an approval request. The response is a 204."""
    transaction = request.transaction()
    rules.delete(transaction, _named(request, transaction))
    transaction.commit()
    return Response(204, None, transaction.effects)


def _named(request: Request, transaction: Transaction) -> ApprovalRequest:
    params = request.params
    return rules.request(transaction, params["environmentKey"], params["featureFlagKey"], params["id"])


def _stored(transaction: Transaction, found: ApprovalRequest, status: int = 200) -> Response:
    transaction.commit()
    return Response(status, approval_request(transaction.project, found), transaction.effects)
