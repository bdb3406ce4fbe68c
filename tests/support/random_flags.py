"""A project of random flags, some of which have done their work, and what uses them. Built from a seed alone."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.population.ground_truth import GroundTruth
from airflow_provider_launchdarkly.emulator.state.approval_models import ApprovalRequest, Review
from airflow_provider_launchdarkly.emulator.state.flag_models import (
    Flag,
    FlagConfig,
    Prerequisite,
    Rollout,
    Rule,
    Serving,
    Target,
    Variation,
    WeightedVariation,
)
from airflow_provider_launchdarkly.emulator.state.models import (
    Branch,
    Experiment,
    Holdout,
    IterationFlag,
    Layer,
    Parameter,
    Project,
    Repository,
    Reservation,
    World,
)
from airflow_provider_launchdarkly.emulator.state.release_models import Release, ReleasePhase, ReleaseStep

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import Status

DAY = 24 * 3_600 * 1_000
KEYS = tuple(f"u{number}" for number in range(8))
COUNTRIES = ("DE", "FR", "US")


@dataclass
class RandomFlags:
    """Adds random flags to an emulator's world.

    Args:
        seed: All follows from it.
        experiment: An experiment to make others after, which has not started.
        holdout: A holdout to make others after.
        now: Epoch milliseconds.
    """

    seed: int
    experiment: Experiment
    holdout: Holdout
    now: int

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.clean: set[str] = set()

    def add(self, world: World, count: int) -> list[str]:
        """Add flags and what uses them; return their keys. ``clean`` are those without anything odd."""
        project = world.projects["demo"]
        keys = [f"random-{number}" for number in range(count)]
        references: list[dict[str, Any]] = []
        for key in keys:
            self.clean.add(key)
            project.flags[key] = self._flag(project, key)
            people = self.chance.choice((0, 1_000))
            project.truths[key] = GroundTruth.from_dict({"people_per_day": people, "metrics": {}})
            self._use(project, project.flags[key], references)
        world.repositories["shop"] = Repository(
            "shop", "custom", "main", branches={"main": Branch("main", "abc", self.now, references=tuple(references))}
        )
        return keys

    def _odd(self, probability: float, key: str) -> bool:
        happens = self.chance.random() < probability
        if happens:
            self.clean.discard(key)
        return happens

    def _flag(self, project: Project, key: str) -> Flag:
        count = self.chance.choice((2, 2, 3))
        variations = tuple(Variation(f"{key}-{index}", f"v{index}", f"V{index}") for index in range(count))
        chosen = self.chance.randrange(count)
        configs = {}
        for environment in project.environments:
            here = self.chance.randrange(count) if self._odd(0.05, key) else chosen
            configs[environment] = self._config(project, key, here, count)
        return Flag(key, key, self.now - 100 * DAY, variations, configs, temporary=self.chance.random() < 0.5)

    def _config(self, project: Project, key: str, chosen: int, count: int) -> FlagConfig:
        anything = self.chance.randrange
        age = self.chance.uniform(0, 40) if self._odd(0.08, key) else self.chance.uniform(31, 90)
        config = FlagConfig(1, int(self.now - age * DAY), self._whole(chosen), anything(count), "salt", on=True)
        if self.chance.random() < 0.3:  # off, whatever its rules would say
            off = anything(count) if self._odd(0.1, key) else chosen
            rules = tuple(self._rule(self._split(anything(count), anything(count))) for _ in range(anything(3)))
            return replace(config, on=False, off_variation=off, rules=rules)
        rules = tuple(
            self._rule(anything(count) if self._odd(0.04, key) else self._whole(chosen)) for _ in range(anything(3))
        )
        targets = tuple(
            Target(
                anything(count) if self._odd(0.1, key) else chosen,
                tuple(self.chance.sample(KEYS, anything(1, 4))),
                self.chance.choice(("user", "organization")),
            )
            for _ in range(anything(3))
        )
        if self.chance.random() < 0.2:  # nobody is among these, so they serve nothing
            targets += (Target(anything(count), ()),)
        if self._odd(0.05, key):
            config = replace(config, fallthrough=self._split(chosen, anything(count)))
        others = [flag for flag in project.flags if flag.startswith("random-") and flag != key]
        if others and self._odd(0.06, key):
            needed = self.chance.choice(others)
            self.clean.discard(needed)
            config = replace(config, prerequisites=(Prerequisite(needed, anything(2)),))
        return replace(config, rules=rules, targets=targets)

    def _whole(self, chosen: int) -> Serving:
        return chosen if self.chance.random() < 0.7 else Rollout((WeightedVariation(chosen, 100_000),))

    def _split(self, first: int, second: int) -> Serving:
        if first == second:
            return first
        weight = self.chance.choice((1_000, 4_000, 50_000))
        return Rollout((WeightedVariation(first, 100_000 - weight), WeightedVariation(second, weight)))

    def _rule(self, serving: Serving) -> Rule:
        clauses = tuple(self._clause() for _ in range(self.chance.choice((1, 1, 2))))
        return Rule(f"rule-{self.chance.random()}", clauses, serving)

    def _clause(self) -> dict[str, Any]:
        kind, attribute, values = self.chance.choice(
            (("user", "country", COUNTRIES), ("user", "key", KEYS), ("organization", "key", KEYS))
        )
        return {
            "contextKind": kind,
            "attribute": attribute,
            "op": "in",
            "negate": self.chance.random() < 0.3,
            "values": self.chance.sample(values, self.chance.choice((1, 2))),
        }

    def _use(self, project: Project, flag: Flag, references: list[dict[str, Any]]) -> None:
        environment = self.chance.choice(tuple(project.environments))
        experiment = None
        if self.chance.random() < 0.4:
            status: Status = self.chance.choice(("stopped", "stopped", "stopped", "running", "not_started"))
            experiment = self._experiment(flag, environment, status)
            if status == "running" or (status == "not_started" and experiment.archived_at is None):
                self._is_used(flag)
            project.experiments[environment, experiment.key] = experiment
        if experiment is not None and self.chance.random() < 0.15:
            ended = self.chance.random() < 0.3
            key = f"holdout-{flag.key}"
            held = replace(self.holdout, id=key, base=replace(self.holdout.base, key=key), ended=ended)
            base = replace(held.base, environment_key=environment)
            project.holdouts[environment, key] = replace(held, base=base)
            project.experiments[environment, experiment.key] = replace(experiment, holdout_id=key)
            if not ended:
                self._is_used(flag)
        if experiment is not None and self.chance.random() < 0.15:
            reserved = (Reservation(experiment.key, 10),)
            key = f"layer-{flag.key}"
            project.layers[key] = Layer(key, key, "", self.now, {environment: reserved})
            self._is_used(flag)
        if self.chance.random() < 0.06:
            release = self._release(flag, environment)
            project.releases[release.id] = release
            if release.active:
                self._is_used(flag)
        if self.chance.random() < 0.1:
            hunk = {"startingLineNumber": 3, "projKey": "demo", "flagKey": flag.key}
            references.append({"path": f"{flag.key}.py", "hunks": [hunk]})
            self._is_used(flag)
        for number in range(self.chance.choice((0, 0, 0, 0, 1, 2))):
            request = self._request(flag, number)
            project.approval_requests[request.id] = request
            if request.status == "pending" and request.review_status != "declined":
                self._is_used(flag)

    def _request(self, flag: Flag, number: int) -> ApprovalRequest:
        """Return a request that waits, was declined, is approved, or was applied; it splits the flag, or does not."""
        half = {variation.id: 100_000 // len(flag.variations) for variation in flag.variations}
        instructions: dict[str, dict[str, Any]] = {
            "split": {"kind": "updateFallthroughVariationOrRollout", "rolloutWeights": half},
            "off": {"kind": "turnFlagOff"},
            "archive": {"kind": "archiveFlag"},
        }
        state = self.chance.choice(("waits", "declined", "declined", "approved", "applied", "applied"))
        kind: Any = {"declined": "decline", "approved": "approve", "applied": "approve"}.get(state, "comment")
        return ApprovalRequest(
            id=f"request-{flag.key}-{number}",
            environment_key=self.chance.choice(tuple(flag.configs)),
            flag_key=flag.key,
            description="Please",
            instructions=(instructions[self.chance.choice(tuple(instructions))],),
            created_at=self.now - DAY,
            reviews=(Review(f"review-{flag.key}-{number}", kind, self.now, member_id="somebody"),),
            applied_at=self.now if state == "applied" else None,
        )

    def _release(self, flag: Flag, environment: str) -> Release:
        """Return a release that has ended, or whose first phase has, so that no rule shows a split."""
        done = ReleasePhase(
            f"done-{flag.key}",
            "gone",
            (ReleaseStep(100_000, DAY, self.now - 60 * DAY, self.now - 59 * DAY),),
            status="completed",
            reason="completed_automatic",
            started_at=self.now - 60 * DAY,
            ended_at=self.now - 59 * DAY,
        )
        pending = ReleasePhase(f"pending-{flag.key}", "gone-too", (ReleaseStep(50_000, DAY),))
        return Release(
            id=f"release-{flag.key}",
            environment_key=environment,
            flag_key=flag.key,
            original_variation_id=flag.variations[0].id,
            target_variation_id=flag.variations[1].id,
            randomization_unit="user",
            phases=(done, pending) if self.chance.random() < 0.6 else (done,),
            created_at=self.now - 60 * DAY,
            advancement_mode="manual",
        )

    def _is_used(self, flag: Flag) -> None:
        self.clean.discard(flag.key)

    def _rule_id(self, flag: Flag, environment: str) -> str:
        """Return a targeting rule of a flag, or its default rule."""
        return self.chance.choice(("fallthrough", *(rule.id for rule in flag.configs[environment].rules)))

    def _experiment(self, flag: Flag, environment: str, status: Status) -> Experiment:
        [iteration] = self.experiment.iterations
        iteration = replace(
            iteration,
            id=f"iteration-{flag.key}",
            status=status,
            started_at=None if status == "not_started" else self.now - 90 * DAY,
            ended_at=self.now - 80 * DAY if status == "stopped" else None,
            flag=IterationFlag(flag.key, self._rule_id(flag, environment), 1, flag.variations[0].id),
            treatments=tuple(
                replace(treatment, parameters=(Parameter(flag.key, flag.variations[index].id),))
                for index, treatment in enumerate(iteration.treatments)
            ),
        )
        archived = self.now if status != "running" and self.chance.random() < 0.3 else None
        key = f"experiment-{flag.key}"
        return replace(
            self.experiment,
            id=key,
            key=key,
            environment_key=environment,
            iterations=(iteration,),
            archived_at=archived,
        )
