"""A rollout, as data: the experiment, its stages, how it is decided, and what its end means.

Only says what is wanted, and refuses what cannot be meant; plain JSON in, plain JSON out. Imports no Airflow: what
turns it into tasks is `group`.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, PlainSerializer, PlainValidator, model_validator

from airflow_provider_launchdarkly.change_windows import ChangeWindow  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy import DAY, Duration, Flag, Policy

if TYPE_CHECKING:
    from collections.abc import Mapping

MOST_STAGES = 20
HUNDRED = Decimal(100)

Text = Annotated[str, Field(min_length=1)]


def _percent(value: Any) -> Decimal:
    # A float is taken by its shortest text: 0.1 means a tenth of a percent, not the binary fraction next to it.
    percent = Decimal(str(value)) if isinstance(value, int | float | Decimal) and not isinstance(value, bool) else None
    if percent is None or not 0 <= percent <= 100:
        raise ValueError(f"{value!r} is no percentage: write a number from 0 to 100")
    return percent


def _allocation(value: Any) -> Decimal | dict[str, Decimal]:
    if isinstance(value, dict):
        return {str(label): _percent(part) for label, part in value.items()}
    return _percent(value)


def _as_number(value: Decimal) -> int | float:
    return int(value) if value == value.to_integral_value() else float(value)


def _as_json(value: Decimal | dict[str, Decimal]) -> int | float | dict[str, int | float]:
    if isinstance(value, dict):
        return {label: _as_number(part) for label, part in value.items()}
    return _as_number(value)


Allocation = Annotated[
    Decimal | dict[str, Decimal],
    PlainValidator(_allocation, json_schema_input_type=float | dict[str, float]),
    PlainSerializer(_as_json, when_used="json"),
]


def _policy(value: Any) -> Any:
    """A policy with its preset laid under it."""
    return Policy.from_json(value) if isinstance(value, dict) else value


class Gate(StrEnum):
    """What must hold before a stage is left for the next one."""

    GUARDRAILS = "guardrails"
    """The dwell time is over, and neither a guardrail nor the primary metric is harmed, nor the split broken."""

    DECISION = "decision"
    """The whole policy: ship or rollback end the rollout; without a winner at the plan's end the next stage follows."""

    NONE = "none"
    """The dwell time is over. Nothing is judged."""


class Inconclusive(StrEnum):
    """What follows when the plan ends without a winner."""

    BASELINE = "baseline"
    """Stop on the baseline."""

    EXTEND = "extend"
    """Let it run on once, by `Endings.extension`, then stop on the baseline."""

    ASK = "ask"
    """Ask a person: stop on the baseline, extend, or leave it running."""


class Fallback(StrEnum):
    """What follows when a person says no, or nothing. Nothing is ever shipped by default."""

    HOLD = "hold"
    """The experiment goes on as it is, and the rollout ends; someone takes over."""

    BASELINE = "baseline"
    """Stop on the baseline."""


class Autonomy(StrEnum):
    """How much a rollout does by itself."""

    OBSERVE = "observe"
    """Judges, and logs what it would do. Changes nothing in LaunchDarkly."""

    RECOMMEND = "recommend"
    """Asks before each start and before shipping. Rolls back without asking."""

    ACT = "act"
    """Asks only where a stage or the ending wants an approval."""


class OnKill(StrEnum):
    """What becomes of the experiment when a person marks the rollout failed while it waits for results."""

    LEAVE = "leave"
    """The experiment goes on."""

    ROLLBACK = "rollback"
    """It is stopped on the baseline. Needs Airflow 3.3."""


class IfRunning(StrEnum):
    """What a run does that finds the first stage's iteration started by another run."""

    ADOPT = "adopt"
    """Waits on it too, and writes nothing that is done already."""

    REFUSE = "refuse"
    """Fails, and leaves it alone."""


class Treatment(StrictModel):
    """One treatment. Its share is the stages' business.

    Attributes:
        variation: The flag's variation: its name, its value or its id.
        name: Shown in LaunchDarkly. Default: the variation's name, or its value.
        baseline: True on exactly one treatment.
    """

    variation: Any
    name: Text | None = None
    baseline: Flag = False

    @property
    def label(self) -> str:
        """How stages name it in `allocation`: its name, else its variation."""
        return self.name or str(self.variation)


class Metric(StrictModel):
    """A metric that is measured; what it means for the decision is the policy's.

    Attributes:
        key: Key of the metric or metric group.
        is_group: True for a metric group.
    """

    key: Text
    is_group: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"key": value} if isinstance(value, str) else value


class Experiment(StrictModel):
    """The experiment, as LaunchDarkly keeps it.

    Attributes:
        key: Its key in the environment.
        name: Its name in LaunchDarkly's UI. Default: the key.
        description: Its description there.
        flag: Key of the flag whose rule serves the treatments.
        rule: Id of the flag's rule; ``fallthrough`` is the default rule.
        hypothesis: What is believed, in a sentence. LaunchDarkly requires one.
        treatments: Two or more, one of them the baseline.
        primary_metric: Key of the metric that decides; or
        primary_funnel: key of the funnel metric group that decides. One of the two.
        metrics: Further metrics. The policy's guardrails and signals are measured in any case.
        methodology: ``bayesian``, ``frequentist`` or ``export_only``.
        randomization_unit: Context kind that is randomized. Default: LaunchDarkly's, ``user``.
        not_in_experiment_variation: What people are served whom the experiment leaves out. Default: the baseline's.
        attributes: Context attributes by which results can be sliced.
        maintainer_id: Id of the member who maintains it. Needed with a service token.
        tags: Tags in LaunchDarkly.
        holdout_id: Id of the holdout it belongs to.
        analysis_config: LaunchDarkly's own analysis settings.
    """

    key: Text
    name: Text | None = None
    description: str | None = None
    flag: Text
    rule: Text = "fallthrough"
    hypothesis: Text
    treatments: Annotated[tuple[Treatment, ...], Field(min_length=2)]
    primary_metric: Text | None = None
    primary_funnel: Text | None = None
    metrics: tuple[Metric, ...] = ()
    methodology: Text = "bayesian"
    randomization_unit: Text | None = None
    not_in_experiment_variation: Any = None
    attributes: tuple[Text, ...] = ()
    maintainer_id: Text | None = None
    tags: tuple[Text, ...] = ()
    holdout_id: Text | None = None
    analysis_config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        baselines = [treatment.label for treatment in self.treatments if treatment.baseline]
        if len(baselines) != 1:
            raise ValueError(f"treatments: mark exactly one as the baseline, not {', '.join(baselines) or 'none'}")
        labels = [treatment.label for treatment in self.treatments]
        if len(set(labels)) < len(labels):
            raise ValueError(f"treatments: two have the same name: {', '.join(labels)}")
        if bool(self.primary_metric) == bool(self.primary_funnel):
            raise ValueError("name one of primary_metric and primary_funnel: what decides the experiment")
        return self

    @property
    def baseline(self) -> Treatment:
        """The baseline."""
        return next(treatment for treatment in self.treatments if treatment.baseline)


class Stage(StrictModel):
    """One step of the rollout: an iteration of its own, with data of its own.

    Attributes:
        name: Shown in Airflow. Default: its number and share.
        allocation: Percent of people who are served something new: one number, which the treatments share evenly and
            the baseline gets the rest of; or each treatment's own by name, the baseline getting what is missing to 100.
        dwell: How long the stage lasts, from its iteration's start, by LaunchDarkly's clock. For the gates
            ``guardrails`` and ``none``; ``decision`` takes the policy's durations, and `dwell` as its
            `max_duration` where it is given.
        gate: What must hold before the next stage.
        approval: Whether a person is asked before the stage starts.
        notes: For those who read the rollout: why this stage is there.
    """

    name: Text | None = None
    allocation: Allocation
    dwell: Duration | None = None
    gate: Gate = Gate.GUARDRAILS
    approval: Flag = False
    notes: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.dwell is None and self.gate is not Gate.DECISION:
            raise ValueError(f"gate {self.gate.value} needs a dwell time")
        if self.dwell is not None and self.dwell <= timedelta():
            raise ValueError(f"dwell is {format_duration(self.dwell)}, not above 0")
        return self


class Approval(StrictModel):
    """How people are asked, where a stage, an ending or the autonomy wants it.

    Attributes:
        before_ship: Whether a person is asked before the winner is shipped.
        users: Ids of the Airflow users who may answer. Default: everyone with access.
        timeout: How long is waited for an answer, by Airflow's clock.
        otherwise: What follows when the answer is no, or none comes in time. Never shipping.
    """

    before_ship: Flag = False
    users: tuple[Text, ...] = ()
    timeout: Duration = 3 * DAY
    otherwise: Fallback = Fallback.HOLD


class Endings(StrictModel):
    """What the ends of a rollout lead to. Rollback always stops on the baseline; invalid always holds.

    Attributes:
        inconclusive: What follows without a winner.
        extension: How much longer the last stage runs when it is extended.
    """

    inconclusive: Inconclusive = Inconclusive.BASELINE
    extension: Duration = 14 * DAY

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.extension <= timedelta():
            raise ValueError(f"extension is {format_duration(self.extension)}, not above 0")
        return self


class Rollout(StrictModel):
    """A whole rollout.

    Attributes:
        experiment: What is compared.
        stages: One or more. The last one's gate is ``decision``: only it can ship.
        policy: How it is decided. `decision.Policy`; a preset by name under ``preset``.
        endings: What the ends lead to.
        approval: How people are asked.
        change_window: When people may be given something new: each stage's start and shipping wait for it.
        autonomy: How much it does by itself.
        on_kill: What becomes of the experiment when a person marks the rollout failed while it waits for results.
        if_running: What a run does that finds the first stage's iteration started by another run.
        reshuffle: Whether a new stage may deal people out anew. False, the default, sends
            ``canReshuffleTraffic: false``, so that whoever has the new thing keeps it while the share grows.
        turn_flag_on: Turn the flag on before the first stage if it is off.
        connection: The Airflow connection.
        project: Project key. Default: the connection's.
        environment: Environment key. Default: the connection's.
        notes: For those who read it.
    """

    experiment: Experiment
    stages: tuple[Stage, ...]
    policy: Annotated[Policy, BeforeValidator(_policy)] = Policy.model_construct()
    endings: Endings = Endings.model_construct()
    approval: Approval = Approval.model_construct()
    change_window: ChangeWindow | None = None
    autonomy: Autonomy = Autonomy.ACT
    on_kill: OnKill = OnKill.LEAVE
    if_running: IfRunning = IfRunning.ADOPT
    reshuffle: Flag = False
    turn_flag_on: Flag = False
    connection: Text = "launchdarkly_default"
    project: Text | None = None
    environment: Text | None = None
    notes: str | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not 1 <= len(self.stages) <= MOST_STAGES:
            raise ValueError(f"stages has {len(self.stages)} entries, not 1 to {MOST_STAGES}")
        if self.stages[-1].gate is not Gate.DECISION:
            raise ValueError(
                f"stages[{len(self.stages) - 1}].gate is {self.stages[-1].gate.value}: the last stage decides, so its "
                "gate is decision"
            )
        for number, stage in enumerate(self.stages):
            try:
                self.shares(stage)
            except ValueError as error:
                raise ValueError(f"stages[{number}].allocation: {error}") from None
        for number, stage in enumerate(self.stages):
            try:
                self.policy_of(number)
                if self.extends and number == len(self.stages) - 1:
                    self.policy_of(number, extended=True)
            except ValueError as error:
                name = stage.name or f"stages[{number}]"
                raise ValueError(f"the policy does not fit {name}: {error}") from None
        return self

    @property
    def extends(self) -> bool:
        """Whether the last stage may be let run on."""
        return self.endings.inconclusive is not Inconclusive.BASELINE

    def policy_of(self, number: int, *, extended: bool = False) -> Policy:
        """The policy by which one stage is judged.

        Each stage has data of its own, so each is a test of its own: the errors that the policy allows for the whole
        rollout are divided evenly among them (Bonferroni's inequality), `alpha` among the stages that can ship and
        `alpha_harm` among all of them. An extension counts as one more.

        Args:
            number: The stage's, from 0.
            extended: Whether the stage has been let run on.

        Raises:
            ValueError: The policy does not fit the stage.
        """
        stage, policy = self.stages[number], self.policy.to_json()
        ship = sum(stage.gate is Gate.DECISION for stage in self.stages) + self.extends
        harm = len(self.stages) + self.extends
        policy |= {"alpha": self.policy.alpha / ship, "alpha_harm": self.policy.alpha_harm / harm}
        if stage.gate is Gate.DECISION:
            longest = stage.dwell or self.policy.max_duration
            policy["min_duration"] = format_duration(min(longest, self.policy.min_duration))
            policy["max_duration"] = format_duration(longest + self.endings.extension if extended else longest)
        else:
            # Planned units would end the stage before its time.
            longest = stage.dwell or self.policy.max_duration
            policy |= {"min_duration": format_duration(longest), "max_duration": format_duration(longest)}
            policy |= {"planned_units": None, "traffic": None}
        if self.policy.looks.times:
            within = [format_duration(time) for time in self.policy.looks.times if time <= longest]
            policy["looks"] = {"times": within} if within else {"only_at_end": True}
        return Policy.from_json(policy)

    def overridden(self, **fields: str | None) -> Rollout:
        """The same rollout with keys that became known only when a task ran.

        Args:
            fields: ``experiment_key``, ``experiment_name``, ``flag_key``, ``rule_id``, ``project_key``,
                ``environment_key``, ``timezone``; None leaves what is there.
        """
        given = {name: value for name, value in fields.items() if value is not None}
        plain = self.to_json()
        for name, place in (
            ("experiment_key", "key"),
            ("experiment_name", "name"),
            ("flag_key", "flag"),
            ("rule_id", "rule"),
        ):
            plain["experiment"][place] = given.get(name, plain["experiment"][place])
        for name, place in (("project_key", "project"), ("environment_key", "environment")):
            plain[place] = given.get(name, plain[place])
        if self.change_window and "timezone" in given:
            plain["change_window"]["timezone"] = given["timezone"]
        return Rollout.from_json(plain)

    def shares(self, stage: Stage) -> tuple[Decimal, ...]:
        """Each treatment's percentage in a stage, in the order of the experiment's treatments; they add up to 100.

        Raises:
            ValueError: The stage's allocation does not fit the treatments.
        """
        new = [treatment.label for treatment in self.experiment.treatments if not treatment.baseline]
        if isinstance(stage.allocation, dict):
            given = stage.allocation
            known = {treatment.label for treatment in self.experiment.treatments}
            if unknown := sorted(set(given) - known):
                raise ValueError(f"there is no treatment {unknown[0]!r}; there are {', '.join(sorted(known))}")
            if missing := [label for label in new if label not in given]:
                raise ValueError(f"treatment {missing[0]!r} has no share; write 0 to leave it out")
        else:
            # LaunchDarkly takes three decimals of a percent; what an even division leaves goes to the baseline.
            given = dict.fromkeys(new, (stage.allocation / len(new)).quantize(Decimal("0.001"), rounding="ROUND_DOWN"))
        rest = HUNDRED - sum((given[label] for label in new), Decimal())
        baseline = given.get(self.experiment.baseline.label, rest)
        if rest < 0 or baseline != rest:
            raise ValueError(f"shares add up to {_as_number(HUNDRED - rest + baseline)}, not to 100")
        return tuple(rest if t.baseline else given[t.label] for t in self.experiment.treatments)

    def share_of_new(self, stage: Stage) -> Decimal:
        """Percentage of people who are served something new in a stage."""
        parts = zip(self.experiment.treatments, self.shares(stage), strict=True)
        return sum((share for treatment, share in parts if not treatment.baseline), Decimal())

    def concerns(self) -> tuple[str, ...]:
        """What is allowed but suspicious, a sentence each."""
        found = [f"policy: {concern}" for concern in self.policy.concerns()]
        if len(self.stages) > 1:
            what = (
                "each stage deals people out anew, so some of them switch back and forth"
                if self.reshuffle
                else "people keep their treatment from stage to stage, and are no fresh sample in the last one"
            )
            found.append(
                f"{len(self.stages)} stages are {len(self.stages)} iterations, each with data of its own: {what}"
            )
        shares = [self.share_of_new(stage) for stage in self.stages]
        for number, (before, after) in enumerate(pairwise(shares), start=1):
            if after < before:
                less = f"{_as_number(after)} % after {_as_number(before)} %"
                found.append(f"stages[{number}] serves {less}: people lose what they were given")
        if max(shares[:-1], default=Decimal()) > 50:
            found.append("a stage before the last serves more than 50 %: no guardrail is better measured beyond half")
        if self.policy.guardrails == () and any(stage.gate is Gate.GUARDRAILS for stage in self.stages):
            found.append("gates are guardrails, and the policy has none: they watch the primary metric and the split")
        return tuple(found)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rollout:
        """Read a rollout from plain JSON, such as a YAML file holds.

        Raises:
            pydantic.ValidationError: Which is a ValueError; it names each wrong field and its value.
        """
        return cls.model_validate(value)

    def to_json(self) -> dict[str, Any]:
        """The whole rollout as plain JSON, defaults included; :meth:`from_json` reads the same back."""
        return self.model_dump(mode="json")
