"""The hook's calls on what experiments stand on: flags, metrics, holdouts, layers, projects, and the caller's identity.

Each method only builds a request or a procedure; ``calls`` makes it run both ways, ``api`` defines it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.http.paging import DEFAULT_CAP, LARGEST_PAGE, collect
from airflow_provider_launchdarkly.hooks.calls import Caller, api_call

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pydantic import JsonValue

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import Request
    from airflow_provider_launchdarkly.api.models import (
        ApprovalRequest,
        ApprovalRequestPost,
        ApprovalRequests,
        CallerIdentity,
        CopyAction,
        DependentFlags,
        Environment,
        FeatureFlag,
        FlagInstruction,
        FlagPost,
        FlagStatus,
        FlagStatuses,
        Holdout,
        HoldoutPost,
        Layer,
        LayerPage,
        LayerPost,
        Member,
        Metric,
        MetricGroup,
        MetricGroupPost,
        MetricPost,
        NoContent,
        Project,
        Repositories,
        Versions,
    )
    from airflow_provider_launchdarkly.api.writes.create_by_key import Existing
    from airflow_provider_launchdarkly.api.writes.ensure import Ensured
    from airflow_provider_launchdarkly.api.writes.flags import Serving


class FlagCalls(Caller):
    """Flags."""

    @api_call
    def get_flag(self, flag_key: str) -> Request[FeatureFlag]:
        """Read a flag with its configuration in the environment."""
        env = self.environment()
        return endpoints.get_flag(env.project_key, flag_key, environments=(env.environment_key,))

    @api_call
    def list_flags(
        self,
        *,
        filters: str | None = None,
        tag: str | None = None,
        with_rules: bool = False,
        max_items: int = DEFAULT_CAP,
    ) -> Procedure[tuple[FeatureFlag, ...]]:
        """Read the project's flags with their configuration in the environment, page after page.

        Args:
            filters: LaunchDarkly's filter, such as ``hasExperiment:true``.
            tag: Only flags with this tag.
            with_rules: Also rules and fallthrough, which LaunchDarkly leaves out otherwise.
            max_items: Most flags to return.
        """
        env = self.environment()
        first = endpoints.list_flags(
            env.project_key,
            environments=(env.environment_key,),
            filters=filters,
            tag=tag,
            with_rules=with_rules,
            limit=min(LARGEST_PAGE, max_items),
        )
        return collect(first, max_items=max_items)

    @api_call
    def create_flag(self, post: FlagPost) -> Procedure[Existing[FeatureFlag]]:
        """Create a flag, or adopt the one with its key and content. Safe to repeat."""
        return writes.create_flag(self.project(), post)

    @api_call
    def patch_flag(
        self,
        flag_key: str,
        instructions: Sequence[FlagInstruction],
        *,
        comment: str | None = None,
        dry_run: bool = False,
        ignore_conflicts: bool = False,
    ) -> Request[FeatureFlag]:
        """Send a semantic patch. Instructions that are true already change nothing, so a repeat is safe.

        Args:
            flag_key: The flag.
            instructions: What to do, in order: all of it, or nothing.
            comment: Text for LaunchDarkly's audit log.
            dry_run: Only validate and show the outcome.
            ignore_conflicts: Change it even if a pending scheduled change or approval would break.
        """
        return endpoints.patch_flag(
            self.environment(),
            flag_key,
            instructions,
            comment=comment,
            dry_run=dry_run,
            ignore_conflicts=ignore_conflicts,
        )

    @api_call
    def turn_flag(self, flag_key: str, *, on: bool, comment: str | None = None) -> Procedure[Ensured[FeatureFlag]]:
        """Turn a flag on or off in the environment. Safe to repeat."""
        return writes.turn_flag(self.environment(), flag_key, on=on, comment=comment)

    @api_call
    def serve(
        self, flag_key: str, serving: Serving, *, rule_id: str = "fallthrough", comment: str | None = None
    ) -> Procedure[Ensured[FeatureFlag]]:
        """Let a flag's rule serve one variation or a percentage rollout, by variation id. Safe to repeat."""
        return writes.serve(self.environment(), flag_key, serving, rule_id=rule_id, comment=comment)

    @api_call
    def archive_flag(self, flag_key: str, *, comment: str | None = None) -> Procedure[Ensured[FeatureFlag]]:
        """Archive a flag in all environments, until it is restored. Safe to repeat."""
        return writes.archive_flag(self.project(), flag_key, comment=comment)

    @api_call
    def list_dependent_flags(self, flag_key: str) -> Request[DependentFlags]:
        """Read the flags that have a flag as a prerequisite, with their environments."""
        return endpoints.list_dependent_flags(self.project(), flag_key)

    @api_call
    def list_code_references(self, flag_key: str) -> Request[Repositories]:
        """Read the account's repositories, with the references to a flag on each default branch."""
        return endpoints.list_code_references(self.project(), flag_key)

    @api_call
    def delete_flag(self, flag_key: str) -> Procedure[Ensured[str]]:
        """Delete a flag in all environments, for good. Safe to repeat."""
        return writes.delete_flag(self.project(), flag_key)

    @api_call
    def copy_flag(
        self,
        flag_key: str,
        target: str,
        *,
        actions: Sequence[CopyAction] = (),
        comment: str | None = None,
    ) -> Procedure[Ensured[FeatureFlag]]:
        """Copy a flag's configuration from the environment to another. Safe to repeat.

        Args:
            flag_key: The flag.
            target: The key of the environment to copy to.
            actions: The parts to copy, such as ``updateTargets``; all of them when empty.
            comment: The comment for LaunchDarkly's audit log.
        """
        return writes.copy_flag(self.environment(), flag_key, target, actions=actions, comment=comment)

    @api_call
    def list_approval_requests(self, flag_key: str) -> Request[ApprovalRequests]:
        """Read LaunchDarkly's approval requests for a flag in the environment."""
        return endpoints.list_approval_requests(self.environment(), flag_key)

    @api_call
    def get_approval_request(self, flag_key: str, request_id: str) -> Request[ApprovalRequest]:
        """Read an approval request: whether it is approved, declined, or applied."""
        return endpoints.get_approval_request(self.environment(), flag_key, request_id)

    @api_call
    def request_approval(self, flag_key: str, post: ApprovalRequestPost) -> Procedure[Ensured[ApprovalRequest]]:
        """Ask for the approval of a flag's change, or adopt the open request for the same. Safe to repeat."""
        return writes.request_approval(self.environment(), flag_key, post)

    @api_call
    def review_approval_request(
        self,
        flag_key: str,
        request_id: str,
        kind: Literal["approve", "decline", "comment"],
        *,
        comment: str | None = None,
    ) -> Request[ApprovalRequest]:
        """Review an approval request as the token's member, who did not make it."""
        return endpoints.review_approval_request(self.environment(), flag_key, request_id, kind, comment=comment)

    @api_call
    def apply_approval(
        self, flag_key: str, request_id: str, *, comment: str | None = None
    ) -> Procedure[Ensured[ApprovalRequest]]:
        """Apply an approved request, which changes the flag. Safe to repeat."""
        return writes.apply_approval(self.environment(), flag_key, request_id, comment=comment)

    @api_call
    def delete_approval_request(self, flag_key: str, request_id: str) -> Request[NoContent]:
        """Delete an approval request."""
        return endpoints.delete_approval_request(self.environment(), flag_key, request_id)

    @api_call
    def get_flag_status(self, flag_key: str) -> Request[FlagStatus]:
        """Read whether a flag is requested in the environment: new, inactive, active or launched."""
        return endpoints.get_flag_status(self.environment(), flag_key)

    @api_call
    def get_flag_statuses(self, flag_key: str) -> Request[FlagStatuses]:
        """Read a flag's status in all environments."""
        return endpoints.get_flag_statuses(self.project(), flag_key)


class MetricCalls(Caller):
    """Metrics and metric groups."""

    @api_call
    def get_metric(self, metric_key: str) -> Request[Metric]:
        """Read a metric."""
        return endpoints.get_metric(self.project(), metric_key)

    @api_call
    def list_metrics(
        self, *, filters: str | None = None, max_items: int = DEFAULT_CAP
    ) -> Procedure[tuple[Metric, ...]]:
        """Read the project's metrics, page after page."""
        first = endpoints.list_metrics(self.project(), filters=filters, limit=min(LARGEST_PAGE, max_items))
        return collect(first, max_items=max_items)

    @api_call
    def create_metric(self, post: MetricPost) -> Procedure[Existing[Metric]]:
        """Create a metric, or adopt the one with its key and content. Safe to repeat."""
        return writes.create_metric(self.project(), post)

    @api_call
    def update_metric(self, metric_key: str, changes: Mapping[str, JsonValue]) -> Procedure[Ensured[Metric]]:
        """Set fields of a metric, by LaunchDarkly's names. Safe to repeat."""
        return writes.update_metric(self.project(), metric_key, changes)

    @api_call
    def delete_metric(self, metric_key: str) -> Procedure[Ensured[str]]:
        """Delete a metric, for good. Safe to repeat."""
        return writes.delete_metric(self.project(), metric_key)

    @api_call
    def get_metric_group(self, metric_group_key: str) -> Request[MetricGroup]:
        """Read a metric group with its metrics."""
        return endpoints.get_metric_group(self.project(), metric_group_key)

    @api_call
    def list_metric_groups(
        self, *, filters: str | None = None, max_items: int = DEFAULT_CAP
    ) -> Procedure[tuple[MetricGroup, ...]]:
        """Read the project's metric groups, page after page."""
        first = endpoints.list_metric_groups(self.project(), filters=filters, limit=min(LARGEST_PAGE, max_items))
        return collect(first, max_items=max_items)

    @api_call
    def create_metric_group(self, post: MetricGroupPost) -> Procedure[Existing[MetricGroup]]:
        """Create a metric group, or adopt the one with its key and content. Safe to repeat."""
        return writes.create_metric_group(self.project(), post)

    @api_call
    def update_metric_group(
        self, metric_group_key: str, changes: Mapping[str, JsonValue]
    ) -> Procedure[Ensured[MetricGroup]]:
        """Set fields of a metric group, by LaunchDarkly's names. Safe to repeat."""
        return writes.update_metric_group(self.project(), metric_group_key, changes)

    @api_call
    def delete_metric_group(self, metric_group_key: str) -> Procedure[Ensured[str]]:
        """Delete a metric group, for good; its metrics stay. Safe to repeat."""
        return writes.delete_metric_group(self.project(), metric_group_key)


class HoldoutCalls(Caller):
    """Holdouts and layers."""

    @api_call
    def get_holdout(self, holdout_key: str, *, expand: Iterable[str] = ()) -> Request[Holdout]:
        """Read a holdout."""
        return endpoints.get_holdout(self.environment(), holdout_key, expand=expand)

    @api_call
    def get_holdout_by_id(self, holdout_id: str) -> Request[Holdout]:
        """Read a holdout by its id, which is what an experiment's ``holdout_id`` holds."""
        return endpoints.get_holdout_by_id(self.environment(), holdout_id)

    @api_call
    def list_holdouts(self, *, max_items: int = DEFAULT_CAP) -> Procedure[tuple[Holdout, ...]]:
        """Read the environment's holdouts, page after page."""
        return collect(
            endpoints.list_holdouts(self.environment(), limit=min(LARGEST_PAGE, max_items)), max_items=max_items
        )

    @api_call
    def create_holdout(self, post: HoldoutPost) -> Procedure[Existing[Holdout]]:
        """Create a holdout, or adopt the one with its key and content. Safe to repeat."""
        return writes.create_holdout(self.environment(), post)

    @api_call
    def end_holdout(self, holdout_key: str, *, comment: str | None = None) -> Procedure[Ensured[Holdout]]:
        """End a holdout, for good. Safe to repeat."""
        return writes.end_holdout(self.environment(), holdout_key, comment=comment)

    @api_call
    def list_layers(self, *, filters: str | None = None) -> Request[LayerPage]:
        """Read the project's layers, which LaunchDarkly does not page."""
        return endpoints.list_layers(self.project(), filters=filters)

    @api_call
    def create_layer(self, post: LayerPost) -> Procedure[Existing[Layer]]:
        """Create a layer, or adopt the one with its key and content. Safe to repeat."""
        return writes.create_layer(self.project(), post)

    @api_call
    def reserve_layer(
        self, layer_key: str, experiment_key: str, percent: int, *, comment: str | None = None
    ) -> Procedure[Ensured[Layer]]:
        """Reserve a share of a layer's traffic for an experiment, in whole percent. Safe to repeat."""
        return writes.reserve(self.environment(), layer_key, experiment_key, percent, comment=comment)


class ProjectCalls(Caller):
    """Projects, environments, and the caller's identity."""

    @api_call
    def get_project(self, project_key: str | None = None, *, expand: Iterable[str] = ()) -> Request[Project]:
        """Read a project; ``expand=("environments",)`` includes its environments, without their keys."""
        return endpoints.get_project(self.project(project_key), expand=expand)

    @api_call
    def list_projects(
        self, *, filters: str | None = None, max_items: int = DEFAULT_CAP
    ) -> Procedure[tuple[Project, ...]]:
        """Read the projects that the token may see, page after page."""
        return collect(
            endpoints.list_projects(filters=filters, limit=min(LARGEST_PAGE, max_items)), max_items=max_items
        )

    @api_call
    def get_environment(self, environment_key: str | None = None) -> Request[Environment]:
        """Read an environment, without its SDK and mobile keys."""
        return endpoints.get_environment(self.environment(environment_key=environment_key))

    @api_call
    def list_environments(
        self, *, filters: str | None = None, max_items: int = DEFAULT_CAP
    ) -> Procedure[tuple[Environment, ...]]:
        """Read the project's environments, without their SDK and mobile keys, page after page."""
        first = endpoints.list_environments(self.project(), filters=filters, limit=min(LARGEST_PAGE, max_items))
        return collect(first, max_items=max_items)

    @api_call
    def list_members(
        self, *, filters: str | None = None, max_items: int = DEFAULT_CAP
    ) -> Procedure[tuple[Member, ...]]:
        """Read the account's members, page after page; ``filters`` such as ``email:ada@example.com``."""
        return collect(endpoints.list_members(filters=filters, limit=min(LARGEST_PAGE, max_items)), max_items=max_items)

    @api_call
    def get_member(self, member_id: str = "me") -> Request[Member]:
        """Read a member by id; ``me`` is the token's member."""
        return endpoints.get_member(member_id)

    @api_call
    def get_caller_identity(self) -> Request[CallerIdentity]:
        """Read the owner of the token. It does not show the token's rights."""
        return endpoints.get_caller_identity()

    @api_call
    def get_versions(self) -> Request[Versions]:
        """Read which API versions LaunchDarkly serves."""
        return endpoints.get_versions()
