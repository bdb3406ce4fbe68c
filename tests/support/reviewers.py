"""Another member of the account, who may review what the first one asks for."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from airflow.providers.common.compat.sdk import TaskDeferred

from airflow_provider_launchdarkly.emulator.state.approval_models import Review
from airflow_provider_launchdarkly.emulator.state.models import Token

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
    from airflow_provider_launchdarkly.testing import EmulatorServer

GRACE = "api-grace"


def add_reviewer(emulator: EmulatorServer) -> str:
    """Give the account's second member a token; return it."""

    def add(inside: Emulator) -> str:
        member = list(inside.world.members)[1]
        inside.world.tokens[GRACE] = Token(GRACE, "f" * 24, "reviewer", "admin", member)
        return GRACE

    return emulator.call(add)


def review_pending(
    emulator: EmulatorServer, kind: Literal["approve", "decline"] = "approve", comment: str | None = None
) -> int:
    """Let the account's second member review all that waits for a review; return how many there were."""

    def review(inside: Emulator) -> int:
        member, reviewed = list(inside.world.members)[1], 0
        now = inside.clock.milliseconds()
        for project in inside.world.projects.values():
            for request in list(project.approval_requests.values()):
                if (request.status, request.review_status) != ("pending", "pending"):
                    continue
                reviewed += 1
                said = Review(inside.world.new_id("review"), kind, now, comment, member)
                newer = replace(request, reviews=(*request.reviews, said), version=request.version + 1)
                project.approval_requests = {**project.approval_requests, request.id: newer}
        return reviewed

    return emulator.call(review)


def requests_in(emulator: EmulatorServer) -> list[Any]:
    """Return the approval requests in the demo project, oldest first."""
    return emulator.call(lambda inside: list(inside.world.projects["demo"].approval_requests.values()))


async def _first(events: AsyncIterator[Any]) -> Any:
    return await anext(events)


def finish(
    make: Callable[[], Any], context: Any, meanwhile: Callable[[], Any], waiting: dict[str, Any] | None = None
) -> Any:
    """Run an operator as Airflow does, each part in a new object; return its output.

    Args:
        make: Makes the operator.
        context: The task's.
        meanwhile: Called each time that the task waits.
        waiting: Gets the arguments of the trigger before that, by the task's id.
    """
    try:
        return make().execute(context)
    except TaskDeferred as first:
        deferred = first
    while True:
        path, arguments = deferred.trigger.serialize()
        if waiting is not None:
            waiting[context["ti"].task_id] = arguments
        meanwhile()
        assert path.startswith("airflow_provider_launchdarkly.triggers.approvals.")
        event = asyncio.run(_first(type(deferred.trigger)(**arguments).run())).payload
        try:
            return getattr(make(), deferred.method_name)(context, event, **(deferred.kwargs or {}))
        except TaskDeferred as again:
            deferred = again


def start_handed_over(emulator: EmulatorServer, arguments: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Start a release in LaunchDarkly as a person does, whom a task waits for; return it.

    Args:
        emulator: LaunchDarkly.
        arguments: Those of the trigger that waits.
        changes: Fields that the person fills in otherwise.
    """
    release: dict[str, Any] = {**json.loads(arguments["design"]), **changes}
    known = json.loads(arguments["design"])["phases"][0]
    phases = [{name: known[name] for name in ("ruleId", "clauses") if name in known} | one for one in release["phases"]]
    # A person gives rules other descriptions.
    release["phases"] = [{name: phase[name] for name in phase if name != "description"} for phase in phases]
    return emulator.start_release(
        arguments["flag_key"],
        release,
        project_key=arguments["project_key"],
        environment_key=arguments["environment_key"],
    )
