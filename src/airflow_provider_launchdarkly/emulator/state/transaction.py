"""One request's view of the world: it sees what it has changed so far, the world sees all of that or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import not_found

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import (
        JSON,
        Environment,
        Experiment,
        Flag,
        Holdout,
        Layer,
        Metric,
        MetricGroup,
        Project,
        RandomizationUnit,
        World,
    )
    from airflow_provider_launchdarkly.emulator.state.settings import Settings


@dataclass(slots=True)
class Transaction:
    """What one request reads and writes.

    Attributes:
        world: the account.
        project: the project named in the path.
        now: when the request is answered, epoch milliseconds.
        settings: the switches.
        member_id: who asks; None with a service token.
        results_as_of: the moment that results show, epoch milliseconds: now, unless a fault makes them stale.
        effects: what happened, for the journal, in order.
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
    _units: tuple[RandomizationUnit, ...] | None = None

    def environment(self, key: str) -> Environment:
        """The environment of that key, or a 404."""
        environment = self.project.environments.get(key)
        if environment is None:
            raise not_found(f"environment {key!r} not found in project {self.project.key!r}")
        return environment

    def flag(self, key: str) -> Flag:
        """The flag of that key, or a 404."""
        flag = self._flags.get(key) or self.project.flags.get(key)
        if flag is None:
            raise not_found(f"feature flag {key!r} not found in project {self.project.key!r}")
        return flag

    def metric(self, key: str) -> Metric:
        """The metric of that key, or a 404."""
        metric = self._metrics.get(key) or self.project.metrics.get(key)
        if metric is None:
            raise not_found(f"metric {key!r} not found in project {self.project.key!r}")
        return metric

    def metric_group(self, key: str) -> MetricGroup:
        """The metric group of that key, or a 404."""
        group = self._metric_groups.get(key) or self.project.metric_groups.get(key)
        if group is None:
            raise not_found(f"metric group {key!r} not found in project {self.project.key!r}")
        return group

    def experiment(self, environment_key: str, key: str) -> Experiment:
        """The experiment of that key in that environment, or a 404."""
        self.environment(environment_key)
        place = (environment_key, key)
        experiment = self._experiments.get(place) or self.project.experiments.get(place)
        if experiment is None:
            raise not_found(f"experiment {key!r} not found in environment {environment_key!r}")
        return experiment

    def experiments(self, environment_key: str | None = None) -> list[Experiment]:
        """All experiments of the project or of one environment, oldest first."""
        merged = {**self.project.experiments, **self._experiments} if self._experiments else self.project.experiments
        return [e for (env, _), e in merged.items() if environment_key is None or env == environment_key]

    @property
    def randomization_units(self) -> tuple[RandomizationUnit, ...]:
        """The context kinds by which people may be divided."""
        return self.project.randomization_units if self._units is None else self._units

    def holdout(self, environment_key: str, key: str) -> Holdout:
        """The holdout of that key in that environment, or a 404."""
        self.environment(environment_key)
        holdout = self._holdouts.get((environment_key, key)) or self.project.holdouts.get((environment_key, key))
        if holdout is None:
            raise not_found(f"holdout {key!r} not found in environment {environment_key!r}")
        return holdout

    def holdouts(self, environment_key: str) -> list[Holdout]:
        """All holdouts of an environment, oldest first."""
        self.environment(environment_key)
        return [h for (env, _), h in {**self.project.holdouts, **self._holdouts}.items() if env == environment_key]

    def layer(self, key: str) -> Layer:
        """The layer of that key, or a 404."""
        layer = self._layers.get(key) or self.project.layers.get(key)
        if layer is None:
            raise not_found(f"layer {key!r} not found in project {self.project.key!r}")
        return layer

    def layer_of(self, environment_key: str, experiment_key: str) -> Layer | None:
        """The layer in which an experiment has reserved a share."""
        for layer in {**self.project.layers, **self._layers}.values():
            if layer.share_of(environment_key, experiment_key) is not None:
                return layer
        return None

    def owner_of(self, environment_key: str, flag_key: str, rule_id: str) -> Experiment | None:
        """The experiment that runs on a flag's rule."""
        for experiment in self.experiments(environment_key):
            running = experiment.running
            if running and (running.flag.flag_key, running.flag.rule_id) == (flag_key, rule_id):
                return experiment
        return None

    def put_flag(self, flag: Flag) -> None:
        """Store a flag when the request succeeds."""
        self._flags[flag.key] = flag

    def put_experiment(self, experiment: Experiment) -> None:
        """Store an experiment when the request succeeds."""
        self._experiments[experiment.environment_key, experiment.key] = experiment

    def put_metric(self, metric: Metric) -> None:
        """Store a metric when the request succeeds."""
        self._metrics[metric.key] = metric

    def put_metric_group(self, group: MetricGroup) -> None:
        """Store a metric group when the request succeeds."""
        self._metric_groups[group.key] = group

    def put_holdout(self, holdout: Holdout) -> None:
        """Store a holdout when the request succeeds."""
        self._holdouts[holdout.base.environment_key, holdout.base.key] = holdout

    def put_layer(self, layer: Layer) -> None:
        """Store a layer when the request succeeds."""
        self._layers[layer.key] = layer

    def put_randomization_units(self, units: tuple[RandomizationUnit, ...]) -> None:
        """Store the whole list of randomization units when the request succeeds."""
        self._units = units

    def record(self, kind: str, **ids: JSON) -> None:
        """Note an effect for the journal."""
        self.effects.append({"kind": kind, "project": self.project.key, **ids})

    def commit(self) -> None:
        """Let the world see it."""
        self.project.flags.update(self._flags)
        self.project.experiments.update(self._experiments)
        self._note_bandits()
        self.project.metrics.update(self._metrics)
        self.project.metric_groups.update(self._metric_groups)
        self.project.holdouts.update(self._holdouts)
        self.project.layers.update(self._layers)
        self.project.randomization_units = self.randomization_units

    def _note_bandits(self) -> None:
        places = dict.fromkeys(self.project.bandits)
        for place, experiment in self._experiments.items():
            if experiment.type == "mab" and experiment.running is not None:
                places[place] = None
            else:
                places.pop(place, None)
        self.project.bandits = tuple(places)
