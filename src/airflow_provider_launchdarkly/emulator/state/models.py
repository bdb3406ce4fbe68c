"""The data model: projects, environments, metrics, experiments, members, tokens. Flags are in `flag_models`.

The values are frozen and their containers are dicts. A request builds new values and stores them when it succeeds, so a
rejected request leaves nothing behind. This module has no rules and no serialization. Times are epoch milliseconds, as
in LaunchDarkly's API.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
    from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON, Flag
    from airflow_provider_launchdarkly.emulator.state.release_models import Release

Status: TypeAlias = Literal["not_started", "running", "stopped"]


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric. LaunchDarkly calls `higher_is_better` successCriteria.

    `details` are the fields that the emulator keeps and does not use, as LaunchDarkly names them.
    """

    key: str
    name: str
    id: str
    version_id: str
    created_at: int
    kind: str = "custom"
    is_numeric: bool = False
    higher_is_better: bool = True
    event_key: str | None = None
    unit: str | None = None
    unit_aggregation: str = "average"
    analysis_type: str = "mean"
    missing_counts_as_zero: bool = True
    version: int = 1
    description: str = ""
    tags: tuple[str, ...] = ()
    maintainer_id: str | None = None
    randomization_units: tuple[str, ...] = ("user",)
    last_modified: int | None = None
    archived_at: int | None = None
    details: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def data_source_key(self) -> str:
        """The key of the data source of its events."""
        return str(self.details.get("dataSource", {}).get("key", "launchdarkly"))


@dataclass(frozen=True, slots=True)
class MetricInGroup:
    """A step of a funnel, or a member of a standard group."""

    key: str
    name_in_group: str


@dataclass(frozen=True, slots=True)
class MetricGroup:
    """A funnel or a standard group of metrics."""

    key: str
    name: str
    id: str
    version_id: str
    kind: Literal["funnel", "standard"]
    metrics: tuple[MetricInGroup, ...]
    created_at: int
    maintainer_id: str
    version: int = 1
    description: str = ""
    tags: tuple[str, ...] = ()
    last_modified: int | None = None


@dataclass(frozen=True, slots=True)
class Parameter:
    """The variation that a treatment serves."""

    flag_key: str
    variation_id: str


@dataclass(frozen=True, slots=True)
class Treatment:
    """An arm of an iteration. Its `allocation_percent` is text, as in LaunchDarkly's API."""

    id: str
    name: str
    baseline: bool
    allocation_percent: str
    parameters: tuple[Parameter, ...]


@dataclass(frozen=True, slots=True)
class IterationFlag:
    """The flag rule that an iteration runs on."""

    flag_key: str
    rule_id: str
    config_version: int
    not_in_experiment_variation_id: str


@dataclass(frozen=True, slots=True)
class MetricUse:
    """A metric or metric group of an iteration, with its `analysis_unit` if that is not the randomization unit."""

    key: str
    is_group: bool
    analysis_unit: str | None = None

    def names(self, other: MetricUse) -> bool:
        """Return whether both name the same metric or metric group."""
        return (self.key, self.is_group) == (other.key, other.is_group)


@dataclass(frozen=True, slots=True)
class LayerSnapshot:
    """The state of a layer when an iteration in it ended, with shares of the layer's traffic in percent."""

    key: str
    name: str
    reservation_percent: int
    other_reservation_percent: int


@dataclass(frozen=True, slots=True)
class Reallocation:
    """The last division of a bandit's traffic: its time, and the treatments' percentages in their order."""

    at: int
    percentages: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Iteration:
    """A run of an experiment with separate data.

    Its `audience` is the share of the rule's people that layer and holdout leave to it, 0 to 1. Its `off` are the
    periods (from, until) in which its flag was off while it ran; the last may have no end yet.
    """

    id: str
    number: int
    hypothesis: str
    created_at: int
    flag: IterationFlag
    treatments: tuple[Treatment, ...]
    metrics: tuple[MetricUse, ...]
    primary: MetricUse
    status: Status = "not_started"
    started_at: int | None = None
    ended_at: int | None = None
    winning_treatment_id: str | None = None
    winning_reason: str | None = None
    change_justification: str | None = None
    can_reshuffle: bool = True
    randomization_unit: str = "user"
    attributes: tuple[str, ...] = ()
    covariate_id: str | None = None
    reallocation_millis: int | None = None
    reallocation: Reallocation | None = None
    audience: float = 1.0
    off: tuple[tuple[int, int | None], ...] = ()
    layer_snapshot: LayerSnapshot | None = None
    version: int = 1

    @property
    def percentages(self) -> tuple[str, ...]:
        """The treatments' present percentages: those of the last reallocation, or else the requested ones."""
        if self.reallocation is not None:
            return self.reallocation.percentages
        return tuple(treatment.allocation_percent for treatment in self.treatments)

    def treatment(self, treatment_id: str) -> Treatment | None:
        """Return the treatment with an id, or None."""
        return next((t for t in self.treatments if t.id == treatment_id), None)


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment with its iterations, oldest first."""

    id: str
    key: str
    name: str
    environment_key: str
    maintainer_id: str
    created_at: int
    iterations: tuple[Iteration, ...]
    description: str = ""
    tags: tuple[str, ...] = ()
    methodology: str = "bayesian"
    data_source: str = "launchdarkly"
    type: str = "experiment"
    holdout_id: str | None = None
    analysis_config: Mapping[str, JSON] = field(default_factory=dict)
    archived_at: int | None = None

    @property
    def running(self) -> Iteration | None:
        """The running iteration, or None."""
        return next((i for i in self.iterations if i.status == "running"), None)

    @property
    def unstarted(self) -> Iteration | None:
        """The iteration that has not started, or None. An experiment has at most one."""
        return next((i for i in self.iterations if i.status == "not_started"), None)

    @property
    def current(self) -> Iteration:
        """The running iteration, or else the last that ran, or else the first.

        LaunchDarkly shows a new experiment's only iteration as its current one before it starts.
        """
        started = [i for i in self.iterations if i.status != "not_started"]
        return self.running or (started or list(self.iterations))[-1]

    @property
    def draft(self) -> Iteration | None:
        """The iteration that has not started, if it is not the current one."""
        unstarted = self.unstarted
        return unstarted if unstarted is not None and unstarted.id != self.current.id else None

    @property
    def previous(self) -> tuple[Iteration, ...]:
        """The stopped iterations before the current one, newest first."""
        shown = self.current.id
        return tuple(i for i in reversed(self.iterations) if i.status == "stopped" and i.id != shown)


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment. The REST API rejects its `sdk_key` and `mobile_key`."""

    key: str
    name: str
    id: str
    sdk_key: str
    mobile_key: str
    color: str = "417505"
    critical: bool = False
    approvals_required: bool = False
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RandomizationUnit:
    """A context kind that experiments may randomize by. Older clients map it to its `standard` unit."""

    key: str
    default: bool = False
    standard: str = "user"


@dataclass(frozen=True, slots=True)
class Holdout:
    """A holdout, which keeps people out of experiments. Its `base` experiment compares them with the others."""

    id: str
    base: Experiment
    amount: str
    updated_at: int
    prerequisite_flag_key: str
    ended: bool = False


@dataclass(frozen=True, slots=True)
class Reservation:
    """An experiment's share of a layer's traffic."""

    experiment_key: str
    percent: int


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer, whose experiments exclude each other, with its reservations by environment."""

    key: str
    name: str
    description: str
    created_at: int
    reservations: Mapping[str, tuple[Reservation, ...]] = field(default_factory=dict)

    def share_of(self, environment_key: str, experiment_key: str) -> int | None:
        """Return the percentage that an experiment has reserved, or None if it is not in the layer."""
        held = self.reservations.get(environment_key, ())
        return next((r.percent for r in held if r.experiment_key == experiment_key), None)


@dataclass(slots=True)
class Project:
    """A project and its contents.

    The keys of `experiments`, `holdouts` and `release_plans` are (environment key, key). `releases` are by id, oldest
    first. `truths` are the ground truths by flag key.
    `bandits` are the keys of the experiments that reallocate their traffic as the clock advances. `old_metrics` are the
    versions of metrics before their changes, by version id.
    """

    key: str
    name: str
    id: str
    environments: dict[str, Environment] = field(default_factory=dict)
    flags: dict[str, Flag] = field(default_factory=dict)
    metrics: dict[str, Metric] = field(default_factory=dict)
    metric_groups: dict[str, MetricGroup] = field(default_factory=dict)
    old_metrics: dict[str, Metric] = field(default_factory=dict)
    experiments: dict[tuple[str, str], Experiment] = field(default_factory=dict)
    holdouts: dict[tuple[str, str], Holdout] = field(default_factory=dict)
    layers: dict[str, Layer] = field(default_factory=dict)
    releases: dict[str, Release] = field(default_factory=dict)
    release_plans: dict[tuple[str, str], Mapping[str, JSON]] = field(default_factory=dict)
    approval_requests: dict[str, ApprovalRequest] = field(default_factory=dict)
    bandits: tuple[tuple[str, str], ...] = ()
    truths: dict[str, GroundTruth] = field(default_factory=dict)
    created_at: int = 0
    context_kinds: tuple[str, ...] = ("user",)
    randomization_units: tuple[RandomizationUnit, ...] = (RandomizationUnit("user", default=True),)
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Member:
    """A member of the account."""

    id: str
    email: str
    first_name: str
    last_name: str
    role: str = "admin"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token. A service token has no `member_id`. Without `projects` it has access to all of them.

    A `custom` role may do all that a `writer` may: what a real one may do is the account's secret.
    """

    value: str = field(repr=False)
    id: str = ""
    name: str = ""
    role: Literal["reader", "writer", "admin", "custom"] = "admin"
    member_id: str | None = None
    projects: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """A branch as a scanner has sent it last. Its `references` are as LaunchDarkly's API has them."""

    name: str
    head: str
    sync_time: int
    update_sequence_id: int | None = None
    commit_time: int | None = None
    references: tuple[Mapping[str, JSON], ...] = ()


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository that is scanned for code references, with its branches by name."""

    name: str
    type: str
    default_branch: str
    version: int = 1
    enabled: bool = True
    links: Mapping[str, str] = field(default_factory=dict)
    branches: Mapping[str, Branch] = field(default_factory=dict)


@dataclass(slots=True)
class World:
    """An account: the content of a snapshot, which a reset restores. `teams` are the keys of its teams."""

    seed: int
    account_id: str
    projects: dict[str, Project] = field(default_factory=dict)
    members: dict[str, Member] = field(default_factory=dict)
    tokens: dict[str, Token] = field(default_factory=dict, repr=False)
    teams: tuple[str, ...] = ()
    repositories: dict[str, Repository] = field(default_factory=dict)
    created: int = 0

    def new_id(self, kind: str) -> str:
        """Return an id for a new resource: 24 hexadecimal digits, determined by the seed and the requests before."""
        self.created += 1
        return object_id(self.seed, f"{kind}/{self.created}")

    def new_uuid(self, kind: str) -> str:
        """Return an id for a new treatment, rule or variation, in the form of a UUID."""
        self.created += 1
        return uuid_id(self.seed, f"{kind}/{self.created}")


def object_id(seed: int, name: str) -> str:
    """Return a deterministic id in the form of LaunchDarkly's object ids."""
    return hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=12).hexdigest()


def uuid_id(seed: int, name: str) -> str:
    """Return a deterministic id in the form of LaunchDarkly's variation ids."""
    return str(uuid.UUID(bytes=hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=16).digest(), version=4))
