"""Serialize flags, environments, projects and the caller's identity.

Reads name variations by index; semantic patches need their ids (LaunchDarkly REST docs, Feature flags).
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from airflow_provider_launchdarkly.emulator.rules.flag_status import last_requested
from airflow_provider_launchdarkly.emulator.rules.flag_status import status as status_of
from airflow_provider_launchdarkly.emulator.serializers.links import (
    flags_path,
    link,
    page_link,
    project_path,
    resource_links,
)
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds
from airflow_provider_launchdarkly.emulator.state.flag_models import Rollout

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON, Flag, FlagConfig, Rule, Serving, Target
    from airflow_provider_launchdarkly.emulator.state.models import Environment, Project, Token, World
    from airflow_provider_launchdarkly.emulator.state.settings import Settings
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


def flag(project: Project, flag: Flag, environments: Collection[str], *, summary: bool = False) -> dict[str, JSON]:
    """Return the JSON of a flag with some environments. A `summary`, as in a list, omits what the rules serve."""
    representation: dict[str, JSON] = {
        "name": flag.name,
        "kind": "boolean" if all(isinstance(v.value, bool) for v in flag.variations) else "multivariate",
        "description": flag.description,
        "key": flag.key,
        "_version": flag.version,
        "creationDate": flag.created_at,
        "includeInSnippet": flag.client_side_id,
        "clientSideAvailability": {"usingMobileKey": flag.mobile_key, "usingEnvironmentId": flag.client_side_id},
        "variations": [
            {"_id": v.id, "value": v.value}
            | ({"name": v.name} if v.name is not None else {})
            | ({"description": v.description} if v.description is not None else {})
            for v in flag.variations
        ],
        "temporary": flag.temporary,
        "tags": list(flag.tags),
        "_links": resource_links(flags_path(project.key), flag.key),
        "experiments": {"baselineIdx": 0, "items": []},
        "customProperties": {key: dict(value) for key, value in flag.custom_properties.items()},
        "archived": flag.archived,
        "deprecated": flag.deprecated_at is not None,
        "defaults": {
            "onVariation": flag.default_on,
            "offVariation": flag.default_off % len(flag.variations),
        },
    }
    optional = {
        "maintainerId": flag.maintainer_id,
        "maintainerTeamKey": flag.maintainer_team_key,
        "_purpose": flag.purpose,
        "archivedDate": flag.archived_at,
        "deprecatedDate": flag.deprecated_at,
        "migrationSettings": None if flag.migration_settings is None else dict(flag.migration_settings),
    }
    representation |= {name: value for name, value in optional.items() if value is not None}
    if environments:
        representation["environments"] = {
            key: _config(project, flag, key, flag.configs[key], summary=summary)
            for key in project.environments
            if key in environments
        }
    return representation


def environment(project: Project, environment: Environment, settings: Settings) -> dict[str, JSON]:
    """Return the JSON of an environment. It has the SDK keys, which do not belong in logs."""
    return {
        "_links": resource_links(f"{project_path(project.key)}/environments", environment.key),
        "_id": environment.id,
        "key": environment.key,
        "name": environment.name,
        "apiKey": environment.sdk_key,
        "mobileKey": environment.mobile_key,
        "color": environment.color,
        "defaultTtl": 0,
        "secureMode": False,
        "defaultTrackEvents": False,
        "requireComments": False,
        "confirmChanges": environment.critical,
        "tags": list(environment.tags),
        "critical": environment.critical,
        "approvalSettings": _approval_settings(required=settings.flag_approval(environment)),
        "resourceApprovalSettings": {
            "experiment": _approval_settings(required=settings.experiment_approval(environment))
        },
    }


def _approval_settings(*, required: bool) -> dict[str, JSON]:
    return {
        "required": required,
        "bypassApprovalsForPendingChanges": False,
        "minNumApprovals": 1,
        "canReviewOwnRequest": False,
        "canApplyDeclinedChanges": False,
        "serviceKind": "launchdarkly",
        "serviceConfig": {},
        "requiredApprovalTags": [],
    }


def project(project: Project) -> dict[str, JSON]:
    """Return the JSON of a project without its environments."""
    here = project_path(project.key)
    return {
        "_links": {
            "self": link(here),
            "environments": link(f"{here}/environments"),
            "flags": link(flags_path(project.key)),
        },
        "_id": project.id,
        "key": project.key,
        "name": project.name,
        "includeInSnippetByDefault": False,
        "defaultClientSideAvailability": {"usingMobileKey": False, "usingEnvironmentId": False},
        "tags": list(project.tags),
    }


def randomization_settings(transaction: Transaction) -> dict[str, JSON]:
    """Return the JSON of a project's randomization units, with their standard units in older generations."""
    project = transaction.project
    with_standard = transaction.settings.api.has_standard_units
    return {
        "_projectId": project.id,
        "_projectKey": project.key,
        "randomizationUnits": [
            {
                "randomizationUnit": unit.key,
                "default": unit.default,
                "_hidden": False,
                "_displayName": unit.key.replace("-", " ").capitalize(),
            }
            | ({"standardRandomizationUnit": unit.standard} if with_standard else {})
            for unit in transaction.randomization_units
        ],
        "_creationDate": project.created_at,
        "_links": {"self": link(f"{project_path(project.key)}/experimentation-settings")},
    }


def caller(world: World, token: Token) -> dict[str, JSON]:
    """Return the JSON of an access token's owner."""
    representation: dict[str, JSON] = {
        "accountId": world.account_id,
        "authKind": "token",
        "tokenKind": "auth",
        "tokenName": token.name,
        "tokenId": token.id,
        "serviceToken": token.member_id is None,
    }
    if token.member_id is not None:
        representation["memberId"] = token.member_id
    return representation


def sdk_caller(world: World, project: Project, environment: Environment, kind: str) -> dict[str, JSON]:
    """Return the JSON of the environment of an SDK key or mobile key, which gives no right on the REST API."""
    return {
        "accountId": world.account_id,
        "projectId": project.id,
        "projectName": project.name,
        "environmentId": environment.id,
        "environmentName": environment.name,
        "authKind": "token",
        "tokenKind": kind,
    }


def _config(project: Project, flag: Flag, key: str, config: FlagConfig, *, summary: bool) -> dict[str, JSON]:
    representation: dict[str, JSON] = {
        "on": config.on,
        "archived": flag.archived,
        "salt": config.salt,
        "sel": config.salt[::-1],
        "lastModified": config.last_modified,
        "version": config.version,
        "_site": _targeting_page(project, flag.key, key),
        "_environmentName": project.environments[key].name,
        "trackEvents": config.track_events,
        "trackEventsFallthrough": config.track_events_fallthrough,
    }
    if not summary:
        representation |= {
            "targets": [_target(t) for t in config.targets if t.context_kind == "user"],
            "contextTargets": [_target(t) for t in config.targets if t.context_kind != "user"],
            "rules": [_rule(rule) for rule in config.rules],
            "fallthrough": _serving(config.fallthrough),
            "offVariation": config.off_variation,
            "prerequisites": [{"key": p.key, "variation": p.variation} for p in config.prerequisites],
        }
    return representation


def _target(target: Target) -> dict[str, JSON]:
    return {"values": list(target.values), "variation": target.variation, "contextKind": target.context_kind}


def _rule(rule: Rule) -> dict[str, JSON]:
    representation: dict[str, JSON] = {
        "_id": rule.id,
        "clauses": [dict(clause) for clause in rule.clauses],
        "trackEvents": rule.track_events,
        **_serving(rule.serving),
    }
    if rule.disabled:
        representation["disabled"] = True
    if rule.description is not None:
        representation["description"] = rule.description
    return representation


def _serving(serving: Serving) -> dict[str, JSON]:
    if not isinstance(serving, Rollout):
        return {"variation": serving}
    rollout: dict[str, JSON] = {
        "variations": [
            {"variation": v.variation, "weight": v.weight} | ({"_untracked": True} if v.untracked else {})
            for v in serving.variations
        ],
        "contextKind": serving.context_kind,
    }
    if serving.bucket_by is not None:
        rollout["bucketBy"] = serving.bucket_by
    if serving.seed is not None:
        rollout["seed"] = serving.seed
    if serving.experiment is not None:
        # The service sends `type`, which no published model has.
        rollout["experimentAllocation"] = {
            "type": "experiment",
            "defaultVariation": serving.experiment.default_variation,
            "canReshuffle": serving.experiment.can_reshuffle,
        }
    if serving.release is not None:
        rollout["experimentAllocation"] = {
            "type": "measuredRollout",
            "defaultVariation": serving.release.default_variation,
            "canReshuffle": False,
        }
    return {"rollout": rollout}


def dependents(project: Project, found: Mapping[str, Sequence[str]], path: str) -> dict[str, JSON]:
    """Return the JSON of the flags that have another as a prerequisite, by flag with their environments."""
    items = [
        {
            "key": key,
            "name": project.flags[key].name,
            "environments": [
                {"key": name, "name": project.environments[name].name, **_dependent_links(project, key, name)}
                for name in environments
            ],
        }
        for key, environments in found.items()
    ]
    return {"items": items, "_links": {"self": link(path)}, "_site": page_link(f"/projects/{quote(project.key)}/flags")}


def dependents_here(
    project: Project, found: Mapping[str, Sequence[str]], environment_key: str, path: str
) -> dict[str, JSON]:
    """Return the JSON of the flags that have another as a prerequisite in one environment."""
    items = [
        {"key": key, "name": project.flags[key].name, **_dependent_links(project, key, environment_key)}
        for key in found
    ]
    return {"items": items, "_links": {"self": link(path)}, "_site": page_link(f"/projects/{quote(project.key)}/flags")}


def _dependent_links(project: Project, key: str, environment_key: str) -> dict[str, JSON]:
    return {
        "_links": resource_links(flags_path(project.key), key),
        "_site": _targeting_page(project, key, environment_key),
    }


def _targeting_page(project: Project, key: str, environment_key: str) -> dict[str, str]:
    return page_link(f"/projects/{quote(project.key)}/flags/{quote(key)}/targeting?env={quote(environment_key)}")


def status(transaction: Transaction, flag: Flag, environment_key: str) -> dict[str, JSON]:
    """Return the JSON of a flag's status in an environment."""
    seen = last_requested(transaction, flag)
    representation: dict[str, JSON] = {"name": status_of(transaction, flag, environment_key)}
    if seen is not None:
        representation["lastRequested"] = from_milliseconds(seen).isoformat().replace("+00:00", "Z")
    return representation
