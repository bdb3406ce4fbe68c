"""A transaction on a project: reads see the writes of the same request, and `commit` stores all of them or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import not_found

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
    from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest
    from airflow_provider_launchdarkly.emulator.state.flag_models import JSON, Flag
    from airflow_provider_launchdarkly.emulator.state.models import (
        Environment,
        Experiment,
        Holdout,
        Layer,
        Metric,
        MetricGroup,
        Project,
        RandomizationUnit,
        World,
    )
    from airflow_provider_launchdarkly.emulator.state.release_models import Release
    from airflow_provider_launchdarkly.emulator.state.settings import Settings


@dataclass(slots=True)
class Transaction:
    """The reads and writes of one request.

    Attributes:
        world: The account.
        project: The project named in the path.
        now: The time of the request, epoch milliseconds.
        settings: The switches.
        member_id: The id of the token's member; None with a service token.
        results_as_of: The time that results show, epoch milliseconds; None for now. A fault makes it earlier.
        effects: The changes for the journal, in order.
    """

    world: World
    project: Project
    now: int
    settings: Settings
    member_id: str | None = None
    results_as_of: int | None = None
    effects: list[dict[str, JSON]] = field(default_factory=list)
    _flags: dict[str, Flag] = field(default_factory=dict)
    _experiments: dict[tuple[str, str], Experiment] = field(default_factory=dict)
    _metrics: dict[str, Metric] = field(default_factory=dict)
    _metric_groups: dict[str, MetricGroup] = field(default_factory=dict)
    _holdouts: dict[tuple[str, str], Holdout] = field(default_factory=dict)
    _layers: dict[str, Layer] = field(default_factory=dict)
    _releases: dict[str, Release] = field(default_factory=dict)
    _units: tuple[RandomizationUnit, ...] | None = None
    _approval_requests: dict[str, ApprovalRequest] | None = None
    _truths: dict[str, GroundTruth] = field(default_factory=dict)
    _old_metrics: list[Metric] = field(default_factory=list)
    _deleted_flags: set[str] = field(default_factory=set)
    _deleted_metrics: set[str] = field(default_factory=set)
    _deleted_metric_groups: set[str] = field(default_factory=set)

    def environment(self, key: str) -> Environment:
        """Return an environment, or raise a 404."""
        environment = self.project.environments.get(key)
        if environment is None:
            raise not_found(f"environment {key!r} not found in project {self.project.key!r}")
        return environment

    def flag(self, key: str) -> Flag:
        """Return a flag, or raise a 404."""
        flag = self._flags.get(key) or self.project.flags.get(key)
        if flag is None:
            raise not_found(f"feature flag {key!r} not found in project {self.project.key!r}")
        return flag

    def metric(self, key: str) -> Metric:
        """Return a metric, or raise a 404."""
        metric = self._metrics.get(key) or self.project.metrics.get(key)
        if metric is None:
            raise not_found(f"metric {key!r} not found in project {self.project.key!r}")
        return metric

    def metric_group(self, key: str) -> MetricGroup:
        """Return a metric group, or raise a 404."""
        group = self._metric_groups.get(key) or self.project.metric_groups.get(key)
        if group is None:
            raise not_found(f"metric group {key!r} not found in project {self.project.key!r}")
        return group

    def experiment(self, environment_key: str, key: str) -> Experiment:
        """Return an experiment of an environment, or raise a 404."""
        self.environment(environment_key)
        place = (environment_key, key)
        experiment = self._experiments.get(place) or self.project.experiments.get(place)
        if experiment is None:
            raise not_found(f"experiment {key!r} not found in environment {environment_key!r}")
        return experiment

    def experiments(self, environment_key: str | None = None) -> list[Experiment]:
        """Return all experiments of the project or of one environment, oldest first."""
        merged = {**self.project.experiments, **self._experiments} if self._experiments else self.project.experiments
        return [e for (env, _), e in merged.items() if environment_key is None or env == environment_key]

    @property
    def randomization_units(self) -> tuple[RandomizationUnit, ...]:
        """The project's randomization units."""
        return self.project.randomization_units if self._units is None else self._units

    def holdout(self, environment_key: str, key: str) -> Holdout:
        """Return a holdout of an environment, or raise a 404."""
        self.environment(environment_key)
        holdout = self._holdouts.get((environment_key, key)) or self.project.holdouts.get((environment_key, key))
        if holdout is None:
            raise not_found(f"holdout {key!r} not found in environment {environment_key!r}")
        return holdout

    def holdouts(self, environment_key: str) -> list[Holdout]:
        """Return all holdouts of an environment, oldest first."""
        self.environment(environment_key)
        return [h for (env, _), h in {**self.project.holdouts, **self._holdouts}.items() if env == environment_key]

    def layer(self, key: str) -> Layer:
        """Return a layer, or raise a 404."""
        layer = self._layers.get(key) or self.project.layers.get(key)
        if layer is None:
            raise not_found(f"layer {key!r} not found in project {self.project.key!r}")
        return layer

    def layer_of(self, environment_key: str, experiment_key: str) -> Layer | None:
        """Return the layer in which an experiment has a reservation, or None."""
        for layer in {**self.project.layers, **self._layers}.values():
            if layer.share_of(environment_key, experiment_key) is not None:
                return layer
        return None

    def using_metric(self, key: str) -> list[Experiment]:
        """Return the experiments whose current iteration measures a metric, alone or in a group."""
        groups = {g.key for g in self.project.metric_groups.values() if any(item.key == key for item in g.metrics)}
        return [
            experiment
            for experiment in self.experiments()
            if any((use.key in groups) if use.is_group else use.key == key for use in experiment.current.metrics)
        ]

    def using_group(self, key: str) -> list[Experiment]:
        """Return the experiments whose current iteration measures a metric group."""
        return [e for e in self.experiments() if any(use.is_group and use.key == key for use in e.current.metrics)]

    def owner_of(self, environment_key: str, flag_key: str, rule_id: str) -> Experiment | None:
        """Return the experiment that runs on a flag's rule, or None."""
        for experiment in self.experiments(environment_key):
            running = experiment.running
            if running and (running.flag.flag_key, running.flag.rule_id) == (flag_key, rule_id):
                return experiment
        return None

    def releases(self, environment_key: str | None = None, flag_key: str | None = None) -> list[Release]:
        """Return the project's releases, of one environment and one flag if named, oldest first."""
        return [
            release
            for release in {**self.project.releases, **self._releases}.values()
            if environment_key in (None, release.environment_key) and flag_key in (None, release.flag_key)
        ]

    def release_on(self, environment_key: str, flag_key: str, rule_id: str) -> Release | None:
        """Return the active release that holds a flag's rule, or None."""
        return next((r for r in self.releases(environment_key, flag_key) if r.holds(rule_id)), None)

    def put_release(self, release: Release) -> None:
        """Store a release at the commit."""
        self._releases[release.id] = release

    @property
    def approval_requests(self) -> dict[str, ApprovalRequest]:
        """The project's approval requests by id, oldest first."""
        return self.project.approval_requests if self._approval_requests is None else self._approval_requests

    @approval_requests.setter
    def approval_requests(self, requests: dict[str, ApprovalRequest]) -> None:
        self._approval_requests = requests

    def put_flag(self, flag: Flag) -> None:
        """Store a flag at the commit."""
        self._flags[flag.key] = flag

    def put_truth(self, flag_key: str, truth: GroundTruth) -> None:
        """Store a flag's ground truth at the commit."""
        self._truths[flag_key] = truth

    def delete_flag(self, key: str) -> None:
        """Delete a flag, and its ground truth, at the commit."""
        self._deleted_flags.add(key)

    def put_experiment(self, experiment: Experiment) -> None:
        """Store an experiment at the commit."""
        self._experiments[experiment.environment_key, experiment.key] = experiment

    def put_metric(self, metric: Metric) -> None:
        """Store a metric at the commit."""
        self._metrics[metric.key] = metric

    def put_old_metric(self, metric: Metric) -> None:
        """Keep a metric's version at the commit, since iterations and clients may still name it."""
        self._old_metrics.append(metric)

    def metric_version(self, key: str, version_id: str | None) -> Metric:
        """Return a version of a metric, the present one by default, or raise a 404."""
        present = self.metric(key)
        if version_id in (None, present.version_id):
            return present
        old = self.project.old_metrics.get(version_id or "")
        if old is None or old.key != key:
            raise not_found(f"metric {key!r} has no version {version_id!r}")
        return old

    def delete_metric(self, key: str) -> None:
        """Delete a metric at the commit."""
        self._deleted_metrics.add(key)

    def put_metric_group(self, group: MetricGroup) -> None:
        """Store a metric group at the commit."""
        self._metric_groups[group.key] = group

    def delete_metric_group(self, key: str) -> None:
        """Delete a metric group at the commit."""
        self._deleted_metric_groups.add(key)

    def put_holdout(self, holdout: Holdout) -> None:
        """Store a holdout at the commit."""
        self._holdouts[holdout.base.environment_key, holdout.base.key] = holdout

    def put_layer(self, layer: Layer) -> None:
        """Store a layer at the commit."""
        self._layers[layer.key] = layer

    def put_randomization_units(self, units: tuple[RandomizationUnit, ...]) -> None:
        """Store the whole list of randomization units at the commit."""
        self._units = units

    def record(self, kind: str, **ids: JSON) -> None:
        """Add an effect to the journal's entry of the request."""
        self.effects.append({"kind": kind, "project": self.project.key, **ids})

    def commit(self) -> None:
        """Store all writes in the world."""
        self.project.flags.update(self._flags)
        self.project.experiments.update(self._experiments)
        self._update_bandits()
        self.project.truths.update(self._truths)
        self.project.metrics.update(self._metrics)
        self.project.old_metrics.update((metric.version_id, metric) for metric in self._old_metrics)
        self.project.metric_groups.update(self._metric_groups)
        self.project.holdouts.update(self._holdouts)
        self.project.layers.update(self._layers)
        self.project.releases.update(self._releases)
        self.project.randomization_units = self.randomization_units
        self.project.approval_requests = self.approval_requests
        for keys, kept in (
            (self._deleted_flags, (self.project.flags, self.project.truths)),
            (self._deleted_metrics, (self.project.metrics,)),
            (self._deleted_metric_groups, (self.project.metric_groups,)),
        ):
            for key in keys:
                for resources in kept:
                    resources.pop(key, None)

    def _update_bandits(self) -> None:
        places = dict.fromkeys(self.project.bandits)
        for place, experiment in self._experiments.items():
            if experiment.type == "mab" and experiment.running is not None:
                places[place] = None
            else:
                places.pop(place, None)
        self.project.bandits = tuple(places)
