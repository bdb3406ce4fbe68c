"""Checks of the way in: the connection, the token, and what the token may do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    AuthenticationError,
    LaunchDarklyError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.api.http.request import STABLE
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Key, Told, listed, say
from airflow_provider_launchdarkly.hooks.connection import REGIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import AccessToken
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness

_NEAR: Final = timedelta(days=30)
_OTHER_KEYS: Final = {"sdk": "an SDK key", "mobile": "a mobile key"}

# The built-in roles, and whether they may write: https://launchdarkly.com/docs/home/account/built-in-roles
_ROLES: Final = {"reader": False, "writer": True, "admin": True, "owner": True}

# Operators that write, with the actions that a custom role has to allow for them.
_WRITERS: Final = (
    (
        "experiments",
        ("CreateExperiment", "UpdateExperiment", "ArchiveExperiment", "RestoreExperiment", "CreateIteration"),
        ("createExperiment", "updateExperiment", "updateExperimentArchived"),
    ),
    (
        "iterations",
        ("StartIteration", "SaveAndStartIteration", "StopIteration"),
        ("updateExperiment", "updateExperimentArchived", "updateFallthrough", "updateRules"),
    ),
    ("flags", ("SetFlag", "StartRelease", "StopRelease"), ("updateOn", "updateFallthrough", "updateRules")),
    ("settings", ("UpdateExperimentationSettings",), ("updateAvailabilityForExperiments",)),
)
_READERS: Final = (
    *("GetExperiment", "ListExperiments", "GetResults", "CheckFlagServes", "GetRelease"),
    *("WaitForSignificance", "Dwell", "IterationStatus", "Traffic", "FlagState", "Release"),
)


def check_connection(account: Account, _like: Likeness) -> Iterator[Finding]:
    """Reach LaunchDarkly, and ask which API versions it serves."""
    settings = account.settings.client
    versions = account.read(endpoints.get_versions())
    region = next((name for name, url in REGIONS.items() if url == settings.base_url), None)
    place = (
        say("LaunchDarkly answers ({region})", region=region)
        if region
        else say("an API answers on {host}", host=Key("host", settings.base_url))
    )
    if versions.valid_versions and int(STABLE) not in versions.valid_versions:
        yield Finding(
            "connection",
            Status.MISSING,
            say("LaunchDarkly serves API version {version} no more", version=STABLE),
            say("upgrade airflow-provider-launchdarkly; until then its calls may be refused or misread"),
        )
    yield Finding("connection", Status.FINE, place)
    if settings.verify is False:
        yield Finding(
            "connection",
            Status.MISSING,
            say("certificates are not checked, so anybody on the way can read the token"),
            say("remove verify from the connection's extra; for a CA of your own set ca_bundle"),
        )
    elif not settings.base_url.startswith("https://") and not settings.is_loopback:
        yield Finding(
            "connection",
            Status.MISSING,
            say("the token is sent over plain http"),
            say("write https:// in the connection's host, and remove allow_insecure_http"),
        )


def check_token(account: Account, like: Likeness) -> Iterator[Finding]:
    """Ask whose the token is, and until when it is valid."""
    found = account.read(endpoints.get_caller_identity())
    kind = found.token_kind or found.auth_kind or "unnamed"
    if kind in _OTHER_KEYS:
        yield Finding(
            "token",
            Status.MISSING,
            say("the credential is {kind}, which LaunchDarkly's API refuses", kind=_OTHER_KEYS[kind]),
            say("put an API access token into the connection's password: Organization settings > Authorization"),
        )
        return
    like.service = bool(found.service_token)
    whose = "a service token" if found.service_token else "a personal token"
    note = (
        "; it has no member, so name maintainer_id when you create an experiment"
        if found.service_token
        else "; it ends with its member's account, and a service token does not"
    )
    yield Finding("token", Status.FINE, say("{whose}{note}", whose=whose, note=note))
    if found.expires_at is not None:
        left = found.expires_at - datetime.now(UTC)
        what = say(
            "it {verb} on {day}", verb="expires" if left > timedelta() else "expired", day=found.expires_at.date()
        )
        if left > _NEAR:
            yield Finding("token", Status.FINE, what)
        else:
            cure = say("create a new token, and put it into the connection before that day")
            yield Finding("token", Status.MISSING, what, cure)


def check_rights(account: Account, like: Likeness) -> Iterator[Finding]:
    """Tell what each operator and sensor may do, by reading alone."""
    yield from _reading(account)
    token = _own_token(account)
    if token is None:
        role = _members_role(account)
        if role in _ROLES and not _ROLES[role]:
            like.role = "reader"
            yield from _writing(may=False, because=f"the token's member has the role {role}")
            return
        yield Finding(
            "rights",
            Status.UNKNOWN,
            say("LaunchDarkly does not show this token's role, so what it may write cannot be told without writing"),
            say("look at the token's role in LaunchDarkly, or run with --sandbox PROJECT"),
        )
        return
    if token.role in _ROLES and not token.custom_role_ids and not token.inline_role:
        like.role = "admin" if token.role == "owner" else token.role
        yield from _writing(may=_ROLES[token.role], because=f"role {token.role}")
        return
    like.role = "custom"
    kind = "an inline policy" if token.inline_role else "a custom role"
    for name, operators, actions in _WRITERS:
        yield Finding(
            "rights",
            Status.UNKNOWN,
            say(
                "{name}: {operators}: the token has {kind}, and whether it allows them cannot be told without writing",
                name=name,
                operators=listed(operators),
                kind=kind,
            ),
            say("allow {actions} in it, or run with --sandbox PROJECT", actions=listed(actions)),
        )


def _reading(account: Account) -> Iterator[Finding]:
    env = account.env
    refused = []
    reads: dict[str, Request[Any]] = {
        "experiments": endpoints.list_experiments(env, limit=1),
        "flags": endpoints.list_flags(env.project_key, environments=(env.environment_key,), limit=1),
        "metrics": endpoints.list_metrics(env.project_key, limit=1),
        "metric groups": endpoints.list_metric_groups(env.project_key, limit=1),
    }
    for what, request in reads.items():
        try:
            account.read(request)
        except (AuthenticationError, PermissionDeniedError) as error:
            refused.append(what)
            yield Finding(
                "rights",
                Status.MISSING,
                say("it may not read {what}: {error}", what=what, error=Told.of(error)),
                say(
                    "give the token a role with access to the project, such as Reader for sensors and Writer for tasks"
                ),
            )
        except LaunchDarklyError as error:
            refused.append(what)
            yield Finding(
                "rights",
                Status.FAILED if error.retryable else Status.MISSING,
                say("{what} cannot be read: {error}", what=what, error=Told.of(error)),
                say("run the doctor again; if it stays, paste the summary into a bug report"),
            )
    if not refused:
        names = listed(_READERS)
        yield Finding("rights", Status.FINE, say("reading: {names}", names=names))


def _writing(*, may: bool, because: str) -> Iterator[Finding]:
    for name, operators, _ in _WRITERS:
        what = say("{name}: {operators}: {because}", name=name, operators=listed(operators), because=because)
        if may:
            yield Finding("rights", Status.FINE, what)
        else:
            yield Finding("rights", Status.MISSING, what, say("use a token with the role Writer for tasks that write"))


def _own_token(account: Account) -> AccessToken | None:
    token_id = account.read(endpoints.get_caller_identity()).token_id
    if not token_id:
        return None
    try:
        return account.read(endpoints.get_access_token(token_id))
    except ApiError:
        return None


def _members_role(account: Account) -> str:
    try:
        return account.read(endpoints.get_member("me")).role
    except ApiError:
        return ""


def check_places(account: Account, _like: Likeness) -> Iterator[Finding]:
    """Read the project and the environment."""
    env = account.env
    account.read(endpoints.get_project(env.project_key))
    account.read(endpoints.get_environment(env))
    yield Finding(
        "project",
        Status.FINE,
        say(
            "project {project} and environment {environment} are there",
            project=Key("project", env.project_key),
            environment=Key("environment", env.environment_key),
        ),
    )
