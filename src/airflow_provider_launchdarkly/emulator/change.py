"""One request's view of the world: it sees what it has changed so far, the world sees all of that or nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import not_found

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.settings import Settings
    from airflow_provider_launchdarkly.emulator.state import (
        JSON,
        Environment,
        Experiment,
        Flag,
        Metric,
        MetricGroup,
        Project,
        World,
    )


@dataclass(slots=True)
class Change:
    """What one request reads and writes.

    Attributes:
        world: the account.
        project: the project named in the path.
        now: when the request is answered, epoch milliseconds.
        settings: the switches.
        member_id: who asks; None with a service token.
        effects: what happened, for the journal, in order.
    """

    world: World
    project: Project
    now: int
    settings: Settings
    member_id: str | None = None
    effects: list[dict[str, JSON]] = field(default_factory=list)
    _flags: dict[str, Flag] = field(default_factory=dict)
    _experiments: dict[tuple[str, str], Experiment] = field(default_factory=dict)

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
        metric = self.project.metrics.get(key)
        if metric is None:
            raise not_found(f"metric {key!r} not found in project {self.project.key!r}")
        return metric

    def metric_group(self, key: str) -> MetricGroup:
        """The metric group of that key, or a 404."""
        group = self.project.metric_groups.get(key)
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

    def record(self, kind: str, **ids: JSON) -> None:
        """Note an effect for the journal."""
        self.effects.append({"kind": kind, "project": self.project.key, **ids})

    def commit(self) -> None:
        """Let the world see it."""
        self.project.flags.update(self._flags)
        self.project.experiments.update(self._experiments)
