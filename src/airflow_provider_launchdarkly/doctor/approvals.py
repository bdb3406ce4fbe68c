"""The check of approvals: what an environment demands, and what a rollout does about it. Only reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Key, listed, say

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.models import Environment
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness

_CHECK: Final = "approvals"
_EXPERIMENT: Final = "experiment"

# The actions on a flag that a task needs which asks for an approval, applies it, and deletes what it does not need any
# more: https://launchdarkly.com/docs/home/account/roles/role-actions
REQUESTING: Final = ("createApprovalRequest", "applyApprovalRequest", "deleteApprovalRequest")


def check_approvals(account: Account, like: Likeness) -> Iterator[Finding]:
    """Tell whether the environment demands approvals, and what that means for rollouts and tasks."""
    environment = account.read(endpoints.get_environment(account.env))
    yield from _of_flags(account, environment, like)
    yield from _of_experiments(environment, like)


def _of_flags(account: Account, environment: Environment, like: Likeness) -> Iterator[Finding]:
    settings = environment.approval_settings
    if settings is None:
        yield Finding(
            _CHECK,
            Status.UNKNOWN,
            say("LaunchDarkly does not say whether changes of flags need an approval in this environment"),
            say("with launchdarkly_approval in a rollout, or reviewers of a task, either case works"),
        )
        return
    if not settings.required:
        yield Finding(_CHECK, Status.FINE, say("changes of flags need none in this environment"))
        return
    like.switches["flag_approvals"] = "everywhere"
    yield Finding(
        _CHECK,
        Status.MISSING,
        say(
            "changes of flags need an approval in this environment: turn_flag_on of a rollout is asked for by a "
            "request, and applied once it is approved; a winner's release is handed over to a person, who starts it in "
            "LaunchDarkly"
        ),
        say(
            "set launchdarkly_approval in the rollout, and reviewers of tasks that set a flag or start a release; "
            "without, they fail. Or let the token bypass approvals"
        ),
    )
    yield _requesting(account, like)


def _requesting(account: Account, like: Likeness) -> Finding:
    """Return whether the token may ask for approvals, as far as its role says it."""
    actions = listed(REQUESTING)
    if like.role in {"writer", "admin"}:
        what = say("the token may make, apply and delete approval requests: role {role}", role=like.role)
        return Finding(_CHECK, Status.FINE, what)
    if like.role == "reader":
        cure = say("use a token with the role Writer, or a custom role with {actions}", actions=actions)
        return Finding(_CHECK, Status.MISSING, say("a reader's token makes no approval requests"), cure)
    return Finding(
        _CHECK,
        Status.UNKNOWN,
        say(
            "approval requests need rights of their own, and whether the token has them cannot be told without writing"
        ),
        say(
            "allow {actions} on flags of project {project} and environment {environment} in the token's role",
            actions=actions,
            project=Key("project", account.env.project_key),
            environment=Key("environment", account.env.environment_key),
        ),
    )


def _of_experiments(environment: Environment, like: Likeness) -> Iterator[Finding]:
    settings = environment.resource_approval_settings.get(_EXPERIMENT)
    if settings is None:
        yield Finding(
            _CHECK,
            Status.UNKNOWN,
            say(
                "LaunchDarkly's resourceApprovalSettings do not name experiments here, so only a write tells whether "
                "their changes need an approval"
            ),
            say(
                "set launchdarkly_approval in the rollout if they may: it counts only where LaunchDarkly refuses. Its "
                "replaces_airflow has no effect here: people are asked in Airflow"
            ),
        )
        return
    if not settings.required:
        yield Finding(_CHECK, Status.FINE, say("changes of experiments need none in this environment"))
        return
    like.switches["experiment_approvals"] = "everywhere"
    yield Finding(
        _CHECK,
        Status.MISSING,
        say(
            "changes of experiments need an approval in this environment: the start of each stage and the stop at the "
            "end, a rollback's too, are handed over to a person, who makes them in LaunchDarkly"
        ),
        say(
            "set launchdarkly_approval in the rollout, and notify, so that the tasks wait and tell that person; "
            "without, they fail. A refused creation fails in any case. Or let the token bypass approvals"
        ),
    )
