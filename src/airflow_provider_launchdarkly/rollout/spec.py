"""A rollout as data: the experiment, its stages, its policy and its endings. Plain JSON in, plain JSON out.

It rejects what cannot work, such as shares that do not add up. It imports no Airflow: `task_group` makes the tasks.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator
from typing_extensions import override

from airflow_provider_launchdarkly.api.variations import label_of, means, readings, served_twice
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import FieldError, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.decision.policy_parts import WEEK, Duration, Flag, OnChange
from airflow_provider_launchdarkly.decision.suitability import (
    UndecidableExperimentError,
    require_comparison,
    require_one_role,
)
from airflow_provider_launchdarkly.rollout.approval import Approval, LaunchDarklyApproval
from airflow_provider_launchdarkly.rollout.ending_settings import Endings, Retire
from airflow_provider_launchdarkly.rollout.fields import ChangeWindow, DataArrival, Key, Notify, Text  # noqa: TC001
from airflow_provider_launchdarkly.rollout.options import (
    Autonomy,
    Fallback,
    Gate,
    IfRunning,
    Inconclusive,
    InconclusiveOption,
    OnKill,
)
from airflow_provider_launchdarkly.rollout.percentages import HUNDRED, Allocation, as_number
from airflow_provider_launchdarkly.rollout.results import ResultsField, check_results, own_metrics
from airflow_provider_launchdarkly.rollout.shipping import Release, check_guards

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic import GetCoreSchemaHandler
    from pydantic_core import CoreSchema

MOST_STAGES = 20


def plain(rollout: Rollout | Mapping[str, Any]) -> dict[str, Any]:
    """Return a rollout as plain JSON; the parts of one that is plain already are shared, since nobody changes them."""
    return rollout.to_json() if isinstance(rollout, Rollout) else dict(rollout)


def _policy(value: Any) -> Any:
    """Lay a policy over the preset that it names."""
    return Policy.from_json(value) if isinstance(value, dict) else value


class Treatment(StrictModel):
    """One treatment. The stages set its share.

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
        """The treatment's name in a stage's `allocation`: its name, else its variation."""
        return self.name or label_of(self.variation)


class Metric(StrictModel):
    """A metric that is measured. The policy says what it means for the decision.

    Attributes:
        key: Key of the metric or metric group.
        is_group: True for a metric group.
    """

    key: Key
    is_group: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"key": value} if isinstance(value, str) else value


class Experiment(StrictModel):
    """The experiment in LaunchDarkly.

    Attributes:
        key: The experiment's key in the environment.
        name: The name in LaunchDarkly's UI. Default: the key.
        description: The description in LaunchDarkly's UI.
        flag: Key of the flag whose rule serves the treatments.
        rule: The flag's rule: its id or its description; ``fallthrough`` is the default rule.
        hypothesis: The hypothesis, in a sentence. LaunchDarkly requires one.
        treatments: Two or more, one of them the baseline.
        primary_metric: Key of the metric that decides; or
        primary_funnel: key of the funnel metric group that decides. One of the two.
        metrics: Further metrics. The policy's guardrails and signals are always added.
        methodology: ``bayesian``, ``frequentist`` or ``export_only``.
        randomization_unit: Context kind that is randomized. Default: LaunchDarkly's, ``user``.
        not_in_experiment_variation: The variation for people outside the experiment. Default: the baseline's.
        attributes: Context attributes by which results can be sliced.
        maintainer_id: Id of the member who maintains it. Needed with a service token.
        tags: Tags in LaunchDarkly.
        holdout_id: Id of the holdout it belongs to.
        analysis_config: LaunchDarkly's own analysis settings.
    """

    key: Key
    name: Text | None = None
    description: str | None = None
    flag: Key
    rule: Text = "fallthrough"
    hypothesis: Text
    treatments: Annotated[tuple[Treatment, ...], Field(min_length=2)]
    primary_metric: Key | None = None
    primary_funnel: Key | None = None
    metrics: tuple[Metric, ...] = ()
    methodology: Text = "bayesian"
    randomization_unit: Text | None = None
    not_in_experiment_variation: Any = None
    attributes: tuple[Text, ...] = ()
    maintainer_id: Key | None = None
    tags: tuple[Text, ...] = ()
    holdout_id: Key | None = None
    analysis_config: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        baselines = [treatment.label for treatment in self.treatments if treatment.baseline]
        if len(baselines) != 1:
            raise ValueError(
                f"treatments: {', '.join(baselines) or 'none'} is marked as the baseline; mark exactly one"
            )
        labels = [treatment.label for treatment in self.treatments]
        if len(set(labels)) < len(labels):
            raise ValueError(f"treatments: two have the same name in {', '.join(labels)}; give each its own `name`")
        variations = [treatment.variation for treatment in self.treatments]
        if None in variations:
            message = "is null, which no variation is: write its name, its value or its id"
            raise FieldError(("treatments", variations.index(None), "variation"), message)
        second = served_twice(variations)
        if second is not None:
            message = f"is {shown(variations[second])}, which another treatment serves: name each once"
            raise FieldError(("treatments", second, "variation"), message)
        if bool(self.primary_metric) == bool(self.primary_funnel):
            raise ValueError("primary_metric and primary_funnel: give exactly one of the two")
        return self

    @property
    def baseline(self) -> Treatment:
        """The treatment that is marked as the baseline."""
        return next(treatment for treatment in self.treatments if treatment.baseline)


class Stage(StrictModel):
    """One stage of the rollout: a separate iteration with separate data.

    Attributes:
        name: The name in Airflow. Default: its number.
        allocation: Percent of people who are served something new. One number: the treatments share it evenly. A
            mapping: each treatment's percentage by its name. The baseline gets the rest to 100.
        dwell: The stage's length from its iteration's start, by LaunchDarkly's clock. Required for the gates
            ``guardrails`` and ``none``. For ``decision`` it replaces the policy's `max_duration`.
        gate: The condition for going on to the next stage.
        approval: True to ask a person before the stage starts.
        notes: Notes for people who read or approve the rollout.
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
            raise ValueError(f"gate {self.gate.value} needs a dwell time: write for instance `dwell: 2d`")
        if self.dwell is not None and self.dwell <= timedelta():
            raise ValueError(f"dwell is {format_duration(self.dwell)}, not above 0")
        return self


class Rollout(StrictModel):
    """A whole rollout.

    Attributes:
        experiment: The experiment.
        stages: One or more stages. The last one's gate is ``decision``, since it can ship.
        policy: The decision policy. A preset goes by its name under ``preset``.
        results: The source of results: ``source`` is ``data_export``, ``warehouse_native`` or ``sql``. Default:
            LaunchDarkly's results endpoints.
        endings: The actions at the ends.
        approval: The approval settings.
        launchdarkly_approval: The reviewers in LaunchDarkly, where it demands an approval for a start or a stop.
            Without them, the task fails there.
        change_window: The times at which people may be given something new: each start and shipping wait for it.
        watch_while_waiting: True to go on watching the guardrails of a running iteration while a person is asked or the
            change window is awaited: harm ends the waiting, and the rollout rolls back.
        arrival: Where it is learnt up to when data have arrived, for a policy with ``looks: on_data``.
        autonomy: The degree to which it acts without asking.
        on_kill: The action on the experiment when a person marks the rollout failed while it waits and watches.
        if_running: The action of a run that finds the first stage's iteration already started by another run.
        reshuffle: True to let a new stage reassign people. False, the default, sends ``canReshuffleTraffic: false``:
            people keep their treatment while the share grows.
        turn_flag_on: True to turn the flag on before the first stage if it is off.
        notify: Who is told of which events, and through what.
        connection: The Airflow connection.
        project: Project key. Default: the connection's.
        environment: Environment key. Default: the connection's.
        notes: Notes for people who read or approve the rollout.
    """

    experiment: Experiment
    stages: tuple[Stage, ...]
    policy: Annotated[Policy, BeforeValidator(_policy)] = Policy.model_construct()
    results: ResultsField = None
    endings: Endings = Endings.model_construct()
    approval: Approval = Approval.model_construct()
    launchdarkly_approval: LaunchDarklyApproval | None = None
    change_window: ChangeWindow | None = None
    watch_while_waiting: Flag = True
    arrival: DataArrival | None = None
    autonomy: Autonomy = Autonomy.ACT
    on_kill: OnKill = OnKill.LEAVE
    if_running: IfRunning = IfRunning.ADOPT
    reshuffle: Flag = False
    turn_flag_on: Flag = False
    notify: tuple[Notify, ...] = ()
    connection: Text = "launchdarkly_default"
    project: Key | None = None
    environment: Key | None = None
    notes: str | None = None

    @classmethod
    @override
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # A policy is read by itself, too. If its schema is there first, pydantic takes it and builds it once.
        Policy.model_rebuild()
        return handler(source)

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
                shares = self.shares(stage)
                if stage.gate is not Gate.NONE:
                    require_comparison(
                        (treatment.label, share, treatment.baseline)
                        for treatment, share in zip(self.experiment.treatments, shares, strict=True)
                    )
            except ValueError as error:
                raise FieldError(("stages", number, "allocation"), str(error)) from None
        try:
            require_one_role(self.policy, self.experiment.primary_metric or self.experiment.primary_funnel)
        except UndecidableExperimentError as error:
            raise FieldError(("policy", *error.path), str(error)) from None
        check_results(self.results, self.policy)
        groups = {self.experiment.primary_funnel, *(each.key for each in self.experiment.metrics if each.is_group)}
        check_guards(self.release, self.judged_singly, groups, own_metrics(self.results))
        portfolio = self.policy.portfolio
        if portfolio is not None and portfolio.each is None and not self.asks_before_ship:
            message = "is decided at the quarter's end, by a person: set approval: {before_ship: true}"
            raise FieldError(("policy", "portfolio", "false_discovery_rate"), message)
        if self.arrival is not None or self.policy.looks.on_data is not None:
            from airflow_provider_launchdarkly.evidence.arrival import require_arrival

            require_arrival(self.policy, self.arrival)
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
    def release(self) -> Release | None:
        """The release through which the winner reaches everyone; None if it does so at once."""
        return self.endings.ship.release

    @property
    def retire(self) -> Retire | None:
        """How its flag is retired after the end; None if it stays."""
        return self.endings.retire

    @property
    def judged_singly(self) -> tuple[str | None, ...]:
        """The primary metric, or None for a funnel, and the guardrails."""
        primary = self.policy.primary.metric or self.experiment.primary_metric
        return (primary, *(guardrail.metric for guardrail in self.policy.guardrails))

    @property
    def extends(self) -> bool:
        """True if the last stage may be extended."""
        return self.endings.inconclusive is not Inconclusive.BASELINE

    def asks_before(self, number: int) -> bool:
        """Return whether a person is asked before a stage starts.

        Args:
            number: The stage's number, from 0.
        """
        return self.stages[number].approval or self.autonomy is Autonomy.RECOMMEND

    @property
    def asks_before_ship(self) -> bool:
        """True if a person is asked before the winner is shipped."""
        return self.approval.before_ship or self.autonomy is Autonomy.RECOMMEND

    def may_leave_question(self, number: int | None) -> bool:
        """Return whether LaunchDarkly's approval may replace a question in Airflow.

        Two stay, as the task writes there itself: before a first stage that turns the flag on, and before a ship by a
        release.

        Args:
            number: The number of the stage that would start, from 0; None for shipping.
        """
        if self.launchdarkly_approval is None or not self.launchdarkly_approval.replaces_airflow:
            return False
        if number is None:
            return self.asks_before_ship and self.release is None
        return self.asks_before(number) and not (number == 0 and self.turn_flag_on)

    def when_refused(self, *, by_person: bool) -> Fallback:
        """Return what is done with a running experiment if a person refuses, or nobody answers in time."""
        return (self.endings.refused if by_person else None) or self.approval.otherwise

    @property
    def default_inconclusive_option(self) -> InconclusiveOption:
        """The option that is taken when no person chooses one in time."""
        return InconclusiveOption.LEAVE if self.approval.otherwise is Fallback.HOLD else InconclusiveOption.TO_BASELINE

    def policy_of(self, number: int, *, extended: bool = False) -> Policy:
        """Return the policy of one stage.

        Each stage has separate data, so each is a separate test. The error rates of the whole rollout are divided
        evenly among the tests (Bonferroni's inequality): `alpha` among the stages that can ship, `alpha_harm` among
        all stages. An extension counts as one more of both.

        Futility only ends the last stage. Another one is followed by the next stage without a winner as well, so ending
        it early would only shorten the time in which harm shows.

        Args:
            number: The stage's number, from 0.
            extended: True for the policy of the extended stage.

        Raises:
            ValueError: The policy does not fit the stage.
        """
        # The values that the policy has already, which are checked together again and not read from JSON.
        stage, policy = self.stages[number], dict(self.policy)
        ship = sum(stage.gate is Gate.DECISION for stage in self.stages) + self.extends
        harm = len(self.stages) + self.extends
        policy |= {"alpha": self.policy.alpha / ship, "alpha_harm": self.policy.alpha_harm / harm}
        if number < len(self.stages) - 1:
            policy["futility"] = None
        if extended or (number and self.stages[number - 1].allocation == stage.allocation):
            # It goes on with the iteration of the test before, whose part of the error rates is counted above.
            policy["on_change"] = OnChange.ACCEPT
        if stage.gate is Gate.DECISION:
            longest = stage.dwell or self.policy.max_duration
            policy["min_duration"] = min(longest, self.policy.min_duration)
            policy["max_duration"] = format_duration(longest + self.endings.extension) if extended else longest
        else:
            # Planned units would end the stage before its time.
            longest = stage.dwell or self.policy.max_duration
            policy |= {"min_duration": longest, "max_duration": longest}
            policy |= {"planned_units": None, "traffic": None}
        if self.policy.harm_looks is not None and self.policy.harm_looks >= longest:
            # The stage is over before; harm is judged at its end.
            policy["harm_looks"] = None
        if self.policy.looks.times:
            within = [format_duration(time) for time in self.policy.looks.times if time <= longest]
            policy["looks"] = {"times": within} if within else {"only_at_end": True}
        return Policy.read(policy)

    def overridden(self, **fields: str | None) -> Rollout:
        """Return the rollout with keys that became known only when a task ran.

        Args:
            fields: ``experiment_key``, ``experiment_name``, ``flag_key``, ``rule_id``, ``project_key``,
                ``environment_key``, ``timezone``; None changes nothing.
        """
        given, plain = {name: value for name, value in fields.items() if value is not None}, self.to_json()
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

    def title_of(self, number: int) -> str:
        """Return a stage's name, by its number from 0; without a name, ``stage 2 of 3``."""
        return self.stages[number].name or f"stage {number + 1} of {len(self.stages)}"

    def shares(self, stage: Stage) -> tuple[Decimal, ...]:
        """Return each treatment's percentage in a stage, in the order of the treatments. They add up to 100.

        Raises:
            ValueError: The stage's allocation does not fit the treatments.
        """
        new = [treatment.label for treatment in self.experiment.treatments if not treatment.baseline]
        if isinstance(stage.allocation, dict):
            given = {self._label_for(key): share for key, share in stage.allocation.items()}
            if len(given) < len(stage.allocation):
                raise ValueError(f"a treatment has two shares in {', '.join(stage.allocation)}; keep one")
            known = {treatment.label for treatment in self.experiment.treatments}
            if unknown := sorted(set(given) - known):
                raise ValueError(f"treatment {unknown[0]!r} does not exist; write one of {', '.join(sorted(known))}")
            if missing := [label for label in new if label not in given]:
                raise ValueError(f"treatment {missing[0]!r} has no share; write 0 to serve it to nobody")
        else:
            # LaunchDarkly takes three decimals of a percent; the remainder of an even division goes to the baseline.
            given = dict.fromkeys(new, (stage.allocation / len(new)).quantize(Decimal("0.001"), rounding="ROUND_DOWN"))
        rest = HUNDRED - sum((given[label] for label in new), Decimal())
        baseline = given.get(self.experiment.baseline.label, rest)
        if rest < 0 or baseline != rest:
            raise ValueError(f"the shares add up to {as_number(HUNDRED - rest + baseline)}; make it 100")
        return tuple(rest if t.baseline else given[t.label] for t in self.experiment.treatments)

    def _label_for(self, key: str) -> str:
        """Return the label that a key of an allocation means: ``1.0`` and ``True`` are the values 1 and true."""
        labels = [treatment.label for treatment in self.experiment.treatments]
        unnamed = [treatment for treatment in self.experiment.treatments if treatment.name is None]
        same = [each.label for each in unnamed if any(means(each.label, value) for value in (key, *readings(key)))]
        return same[0] if key not in labels and len(same) == 1 else key

    def share_of_new(self, stage: Stage) -> Decimal:
        """Return the percentage of people who are served something new in a stage."""
        return HUNDRED - self.shares(stage)[self.experiment.treatments.index(self.experiment.baseline)]

    def concerns(self) -> tuple[str, ...]:
        """Return a sentence for each setting that is allowed but suspicious."""
        found = [f"policy: {concern}" for concern in self.policy.concerns()]
        if len(self.stages) > 1 and self.reshuffle:
            found.append("reshuffle: each stage reassigns people, so some of them switch back and forth")
        if self.retire is not None and self.retire.served_for < WEEK:
            less = format_duration(self.retire.served_for)
            found.append(f"endings.retire.served_for is {less}: LaunchDarkly calls a flag launched after a week")
        shares = [self.share_of_new(stage) for stage in self.stages]
        for number, (before, after) in enumerate(pairwise(shares), start=1):
            if after < before:
                less = f"{as_number(after)} % after {as_number(before)} %"
                found.append(f"stages[{number}] serves {less}: some people lose what they were given")
        if max(shares[:-1], default=Decimal()) > 50:
            found.append("a stage before the last serves more than 50 %: guardrails are measured best at 50 %")
        if max(shares) <= 1:
            written = " and ".join(f"{as_number(share)} %" for share in dict.fromkeys(shares))
            found.append(
                f"stages: allocation is in percent, so something new is served to {written}; for a half, write 50"
            )
        replaces = self.launchdarkly_approval is not None and self.launchdarkly_approval.replaces_airflow
        if replaces and not any(self.may_leave_question(number) for number in (*range(len(self.stages)), None)):
            found.append("launchdarkly_approval.replaces_airflow replaces no question of this rollout")
        return tuple(found)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Rollout:
        """Read a rollout from plain JSON, such as a YAML file holds.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        return cls.read(value)

    def to_json(self) -> dict[str, Any]:
        """Return the whole rollout as plain JSON, defaults included; :meth:`from_json` reads it back."""
        return self.model_dump(mode="json")
