"""Copying a flag's configuration from one environment to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import ConfigurationError, Difference, NotFoundError
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef, Request
    from airflow_provider_launchdarkly.api.models import CopyAction, FeatureFlag, FlagConfig

_FIELDS: Final[dict[CopyAction, tuple[str, ...]]] = {
    "updateOn": ("on",),
    "updateRules": ("rules",),
    "updateFallthrough": ("fallthrough",),
    "updateOffVariation": ("offVariation",),
    "updatePrerequisites": ("prerequisites",),
    "updateTargets": ("targets", "contextTargets"),
    "updateFlagConfigMigrationSettings": ("migrationSettings",),
}
_NOT_COPIED: Final = frozenset({"_id", "seed", "experimentAllocation", "_untracked"})
"""The ids that LaunchDarkly gives anew, and the marks of an experiment that runs in the source."""


def copy_flag(
    env: EnvironmentRef,
    flag_key: str,
    target: str,
    *,
    actions: Sequence[CopyAction] = (),
    comment: str | None = None,
) -> Procedure[Ensured[FeatureFlag]]:
    """Copy a flag's configuration from an environment to another of the same project.

    Safe to repeat: a target that has the source's configuration is left alone, and the write names the versions that
    were read, so that LaunchDarkly refuses it after a change of either.

    Args:
        env: The project, and the environment to copy from.
        flag_key: The flag.
        target: The environment to copy to.
        actions: The parts to copy; all of them when empty.
        comment: The comment for LaunchDarkly's audit log.

    Raises:
        ConfigurationError: Source and target are the same, or an action is unknown.
        NotFoundError: The flag or an environment does not exist.
        ConflictError: An experiment runs on a rule of the target, or the versions changed at each try.
        LaunchDarklyError: As the calls raise.
    """
    source = env.environment_key
    if source == target:
        raise ConfigurationError(f"target is {target!r}, which is the source too: name another environment")
    for action in actions:
        if action not in _FIELDS:
            raise ConfigurationError(f"actions: {action!r} is unknown; use {', '.join(_FIELDS)}")
    names = [name for action, fields in _FIELDS.items() if not actions or action in actions for name in fields]
    find = endpoints.get_flag(env.project_key, flag_key, environments=(source, target))

    def read() -> Procedure[FeatureFlag]:
        flag: FeatureFlag = (yield find).value
        missing = [key for key in (source, target) if key not in flag.environments]
        if missing:
            raise NotFoundError(f"project {env.project_key!r} has no environment {missing[0]!r}", call=find.call)
        return flag

    def differences(flag: FeatureFlag) -> tuple[Difference, ...]:
        wanted, present = (
            _plain(flag.environments[key].model_dump(mode="json", by_alias=True)) for key in (source, target)
        )
        return tuple(
            Difference(f"{target}.{name}", wanted.get(name), present.get(name))
            for name in names
            if (wanted.get(name) or None) != (present.get(name) or None)
        )

    def write(flag: FeatureFlag) -> Request[FeatureFlag]:
        return endpoints.copy_flag(
            env.project_key,
            flag_key,
            source,
            target,
            source_version=flag.environments[source].version,
            target_version=flag.environments[target].version,
            actions=actions,
            comment=comment,
        )

    return ensure(
        fields_as_asked(
            f"flag {flag_key!r} has the configuration of {source!r} in {target!r}",
            read=read,
            differences=differences,
            write=write,
            response_is_state=False,
        )
    )


def _shown(config: FlagConfig) -> dict[str, Any]:
    shown: dict[str, Any] = _plain(config.model_dump(mode="json", by_alias=True))
    return shown


def _plain(value: Any) -> Any:
    """Return a configuration without what a copy does not bring, and without empty fields."""
    if isinstance(value, dict):
        return {
            name: _plain(inner) for name, inner in value.items() if name not in _NOT_COPIED and inner not in (None, "")
        }
    return [_plain(item) for item in value] if isinstance(value, list) else value
