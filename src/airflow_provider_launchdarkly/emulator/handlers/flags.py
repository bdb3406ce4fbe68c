"""Feature flags. LaunchDarkly REST docs, Feature flags."""

from __future__ import annotations

from airflow_provider_launchdarkly.emulator.handlers import flag_json_patch
from airflow_provider_launchdarkly.emulator.handlers.call import Call, Reply
from airflow_provider_launchdarkly.emulator.rules import factories, flag_patch
from airflow_provider_launchdarkly.emulator.rules.request_body import Body
from airflow_provider_launchdarkly.emulator.serializers import flags as show
from airflow_provider_launchdarkly.emulator.state import generations


def get_feature_flag(call: Call) -> Reply:
    """GET one flag with all its environments, or those named by `env`."""
    change = call.change()
    environments = call.every("env") or list(change.project.environments)
    return Reply(200, show.flag(change.project, change.flag(call.params["featureFlagKey"]), environments))


def get_feature_flags(call: Call) -> Reply:
    """GET a project's flags. Environments come only when named, what their rules serve only with `summary=0`."""
    change = call.change()
    environments = call.every("env")
    for key in environments:
        change.environment(key)
    wanted = [flag for flag in change.project.flags.values() if flag.archived == call.asks("archived")]
    tags = set(call.every("tag"))
    wanted = [flag for flag in wanted if tags <= set(flag.tags)]
    full = (call.first("summary") or "").lower() in ("0", "false")
    page, paging = call.page(wanted, highest=100)
    items = [show.flag(change.project, flag, environments, summary=not full) for flag in page]
    return Reply(200, {"items": items, "totalCount": len(wanted), "_links": paging})


def post_feature_flag(call: Call) -> Reply:
    """POST a flag: 201 with the flag, off everywhere unless `isFlagOn`."""
    change = call.change()
    flag = factories.flag(change, Body(call.body))
    shown = show.flag(change.project, flag, list(change.project.environments))
    change.commit()
    return Reply(201, shown, change.effects)


def patch_feature_flag(call: Call) -> Reply:
    """PATCH a flag by semantic patch, JSON patch or merge patch; with `dryRun` it only says what would come of it."""
    change = call.change()
    key = call.params["featureFlagKey"]
    change.flag(key)
    if call.semantic:
        flag_patch.apply_patch(change, key, Body(call.body))
    else:
        flag_json_patch.apply_patch(change, key, call.body)
    shown = show.flag(change.project, change.flag(key), list(change.project.environments))
    if call.asks("dryRun") and not generations.is_17(call.settings.generation):
        return Reply(200, shown)
    change.commit()
    return Reply(200, shown, change.effects)
