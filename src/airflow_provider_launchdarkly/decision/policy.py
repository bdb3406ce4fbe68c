"""The policy of an experiment: metrics, error rates, looks, shortest and longest run.

The models hold and check what a user asks for; `schedule` and `boundaries` compute what it takes.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.config.keys import check_key
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel

DAY = timedelta(days=1)
WEEK = timedelta(days=7)

# A boundary for more looks than this costs seconds to solve and gains nothing: neighbouring looks see the same data.
MOST_LOOKS = 200

Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]
MetricKey = Annotated[str, Field(min_length=1, max_length=256), AfterValidator(check_key)]


# Numbers are taken strictly: a quoted number, or true for 1, is a slip and refused.
def _no_confidence(value: Any) -> Any:
    """Refuse a confidence level where a probability of error is meant."""
    if isinstance(value, float) and 0.5 <= value < 1:
        raise ValueError(
            f"is a probability of error, below 0.5, and not the confidence: write {round(1 - value, 9):g} for a "
            f"confidence of {100 * value:g} %"
        )
    return value


Probability = Annotated[float, BeforeValidator(_no_confidence), Field(gt=0.0, lt=0.5, strict=True)]
Margin = Annotated[float, Field(ge=0.0, lt=1.0, strict=True)]
Share = Annotated[float, Field(ge=0.0, le=1.0, strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Spending = Annotated[float, Field(ge=-20.0, le=5.0, strict=True)]


class Direction(StrEnum):
    """The direction in which a metric improves."""

    HIGHER = "higher"
    LOWER = "lower"

    @property
    def sign(self) -> int:
        """1 if higher is better, else -1."""
        return 1 if self is Direction.HIGHER else -1

    @classmethod
    def of_success_criteria(cls, criteria: str | None) -> "Direction | None":
        """Read a metric's ``successCriteria``; None for anything else.

        LaunchDarkly REST docs, Metrics: ``HigherThanBaseline`` or ``LowerThanBaseline``.
        """
        return {"HigherThanBaseline": cls.HIGHER, "LowerThanBaseline": cls.LOWER}.get(criteria or "")


class Rule(StrEnum):
    """The rule by which success is judged."""

    GROUP_SEQUENTIAL = "group_sequential"
    PROBABILITY_TO_BE_BEST = "probability_to_be_best"


class Test(StrEnum):
    """The claim that a treatment must prove on the primary metric."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non_inferiority"


class MismatchAction(StrEnum):
    """The action on a sample ratio mismatch: units that are not split as allocated."""

    STOP = "stop"
    HOLD = "hold"
    WARN = "warn"


class MissingAction(StrEnum):
    """The action on data that do not arrive within the grace period."""

    HOLD = "hold"
    INVALID = "invalid"


class Primary(StrictModel):
    """The metric that decides.

    Attributes:
        metric: Key of the metric or metric group; None for the experiment's own primary metric.
        direction: None takes LaunchDarkly's ``successCriteria``.
        test: Superiority: better than the baseline. Non-inferiority: not worse than the baseline by more than `margin`.
        margin: Share of the baseline's mean that may be lost, for non-inferiority; 0.01 is 1 %.
        minimum_detectable_effect: Smallest relative lift worth finding, as a share of the baseline's mean; plans the
            number of units together with `Policy.traffic`.
    """

    metric: MetricKey | None = None
    direction: Direction | None = None
    test: Test = Test.SUPERIORITY
    margin: Margin = 0.0
    minimum_detectable_effect: Annotated[float, Field(gt=0.0, le=10.0, strict=True)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.test is Test.NON_INFERIORITY and self.minimum_detectable_effect is not None:
            raise ValueError("non_inferiority plans its units for the margin: leave minimum_detectable_effect out")
        if (self.test is Test.NON_INFERIORITY) != (self.margin > 0):
            raise ValueError(
                f"test {self.test.value} with margin {self.margin}: a margin belongs to non_inferiority, above 0"
            )
        return self


class Guardrail(StrictModel):
    """A metric that must not get worse. Harm to it rolls back, whatever the primary metric says.

    Attributes:
        metric: Key of the metric.
        direction: None takes LaunchDarkly's ``successCriteria``.
        margin: Share of the baseline's mean whose loss is tolerated: only being significantly worse than that is harm.
        prove: Ship only when the interval shows that no more than `margin` is lost (non-inferiority).
    """

    metric: MetricKey
    direction: Direction | None = None
    margin: Margin = 0.0
    prove: Flag = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.prove and self.margin == 0:
            raise ValueError(
                f"guardrail {self.metric}: prove needs a margin above 0, since no loss at all cannot be shown"
            )
        return self


class Signal(StrictModel):
    """A metric that delays shipping while it points the wrong way (nominal one-sided p below `alpha`).

    Without data it delays nothing: a metric that must be known before shipping is a guardrail.

    Attributes:
        metric: Key of the metric.
        direction: None takes LaunchDarkly's ``successCriteria``.
        alpha: One-sided p value below which shipping waits. It is not corrected for looks, since it ships nothing.
    """

    metric: MetricKey
    direction: Direction | None = None
    alpha: Probability = 0.05


class Looks(StrictModel):
    """The times of the looks: evenly spaced, at cron times, at a list of times, or only at the end.

    Attributes:
        every: Spacing, from the iteration's start.
        cron: Cron expression, with the meaning that it has as ``schedule`` of an Airflow DAG.
        timezone: IANA name of the time zone of `cron`.
        times: Durations after the iteration's start.
        only_at_end: One look, at the maximum duration.

    The plan's end is always a look.
    """

    every: Duration | None = None
    cron: str | None = None
    timezone: str = "UTC"
    times: tuple[Duration, ...] = ()
    only_at_end: Flag = False

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        # `looks: 1d` is what most people will write.
        return {"every": value} if isinstance(value, (str, timedelta)) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("every", "cron", "times", "only_at_end") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(
                f"give exactly one of every, cron, times, only_at_end, not {' and '.join(given) or 'none'}"
            )
        if self.every is not None and self.every < timedelta(minutes=1):
            raise ValueError(f"every is {format_duration(self.every)}; results do not change that fast, at least 1m")
        if self.cron is not None:
            from airflow_provider_launchdarkly.decision.cron import Cron

            Cron.parse(self.cron, self.timezone)
        elif self.timezone != "UTC":
            raise ValueError(f"timezone {self.timezone!r} is only for cron")
        if any(later <= earlier for earlier, later in zip((timedelta(), *self.times), self.times, strict=False)):
            raise ValueError("times must rise, from above 0")
        return self


class Mismatch(StrictModel):
    """The test for a sample ratio mismatch.

    Attributes:
        alpha: Probability of any alarm, over any number of looks, while units are split as allocated.
        action: The action on an alarm.
    """

    alpha: Annotated[float, BeforeValidator(_no_confidence), Field(gt=0.0, le=0.1, strict=True)] = 0.01
    action: MismatchAction = MismatchAction.STOP


class Missing(StrictModel):
    """The handling of data that do not arrive.

    Attributes:
        grace: Time after the start without traffic or events that is tolerated.
        stale_after: Time without any change of the counts that is tolerated.
        action: `hold` waits until the plan's end, where the verdict is invalid; `invalid` ends at once.
    """

    grace: Duration = DAY
    stale_after: Duration = 2 * DAY
    action: MissingAction = MissingAction.HOLD


class Traffic(StrictModel):
    """The expected traffic and baseline; they plan the number of units and feed the simulation.

    Attributes:
        units_per_day: Units that enter the experiment in a day, over all treatments.
        mean: The baseline's mean of the primary metric; a rate for a conversion metric.
        std_dev: Its standard deviation per unit; None for a conversion metric, where the rate gives it.
    """

    units_per_day: Annotated[float, Field(gt=0.0, strict=True)]
    mean: Annotated[float, Field(strict=True)]
    std_dev: Annotated[float, Field(gt=0.0, strict=True)] | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.std_dev is None and not 0 < self.mean < 1:
            raise ValueError(f"mean {self.mean} is no conversion rate; give std_dev for a numeric metric")
        return self

    @property
    def deviation(self) -> float:
        """Standard deviation per unit."""
        return self.std_dev if self.std_dev is not None else (self.mean * (1.0 - self.mean)) ** 0.5


class Budget(StrictModel):
    """The most that a policy may cost: the simulation fails when it measures more. Verdicts do not depend on it.

    Attributes:
        false_ship: Most experiments without an effect that may be shipped.
        false_rollback: Most experiments without an effect that may be rolled back.
        mismatch_false_alarm: Most properly split experiments that may be called invalid.
        power: Least experiments with the effect that must be shipped.
        mean_stop_day: Longest mean run of an experiment with the effect, in days.
    """

    false_ship: Share | None = None
    false_rollback: Share | None = None
    mismatch_false_alarm: Share | None = None
    power: Share | None = None
    mean_stop_day: Annotated[float, Field(gt=0.0, strict=True)] | None = None


class Policy(StrictModel):
    """The rules by which an experiment is decided; a preset is a policy too.

    Error rates are one-sided: `alpha` is the probability that a treatment without any effect is ever shipped, over all
    looks and all treatments; `alpha_harm` that a harmless experiment is ever rolled back, over all looks, treatments,
    guardrails and the primary metric.

    Attributes:
        rule: Rule by which success is judged.
        primary: The metric that decides.
        guardrails: Metrics that must not get worse.
        signals: Metrics that delay shipping.
        alpha: One-sided family-wise error of shipping.
        alpha_harm: One-sided family-wise error of rolling back.
        ship_spending: gamma of the Hwang-Shih-DeCani spending function for shipping; late.
        harm_spending: The same for harm; almost evenly, since harm must be found early.
        threshold: For `probability_to_be_best`: the probability at which a treatment wins.
        looks: Times of the looks.
        min_duration: Nothing ships before.
        max_duration: The plan's end.
        min_units_per_treatment: Nothing ships while a treatment has fewer units on the primary metric or a guardrail.
        planned_units: Units over all treatments at which the plan ends, if that comes before `max_duration`. With it
            the boundary follows the units instead of the clock.
        traffic: Expected traffic and baseline. With `primary.minimum_detectable_effect`, or the margin of
            non-inferiority, it plans the units for `power`, if they arrive before `max_duration`.
        power: Probability with which the effect to be detected is to be found.
        mismatch: The test of the split.
        missing: Handling of data that do not arrive.
        budget: Limits that the simulation checks.
    """

    rule: Rule = Rule.GROUP_SEQUENTIAL
    primary: Primary = Primary.model_construct()
    guardrails: tuple[Guardrail, ...] = ()
    signals: tuple[Signal, ...] = ()
    alpha: Probability = 0.05
    alpha_harm: Probability = 0.05
    ship_spending: Spending = -2.4
    harm_spending: Spending = -0.2
    threshold: Annotated[float, Field(gt=0.5, lt=1.0, strict=True)] = 0.95
    looks: Looks = Looks.model_construct(every=DAY)
    min_duration: Duration = WEEK
    max_duration: Duration = 4 * WEEK
    min_units_per_treatment: Annotated[int, Field(ge=2, strict=True)] = 100
    planned_units: Annotated[int, Field(ge=4, strict=True)] | None = None
    traffic: Traffic | None = None
    power: Annotated[float, Field(ge=0.5, lt=1.0, strict=True)] = 0.8
    mismatch: Mismatch = Mismatch.model_construct()
    missing: Missing = Missing.model_construct()
    budget: Budget | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.max_duration <= timedelta():
            raise ValueError(f"max_duration is {format_duration(self.max_duration)}, not above 0")
        if self.min_duration > self.max_duration:
            shortest, longest = format_duration(self.min_duration), format_duration(self.max_duration)
            raise ValueError(f"min_duration {shortest} is longer than max_duration {longest}")
        if self.looks.every is not None and self.max_duration / self.looks.every > MOST_LOOKS:
            count = int(self.max_duration / self.looks.every)
            raise ValueError(
                f"looks.every {format_duration(self.looks.every)} makes {count} looks; at most {MOST_LOOKS}"
            )
        if self.looks.times and self.looks.times[-1] > self.max_duration:
            last, longest = format_duration(self.looks.times[-1]), format_duration(self.max_duration)
            raise ValueError(f"looks.times has {last}, after max_duration {longest}")
        keys = [self.primary.metric, *(g.metric for g in self.guardrails), *(s.metric for s in self.signals)]
        twice = sorted({key for key in keys if key is not None and keys.count(key) > 1})
        if twice:
            raise ValueError(f"metric {twice[0]} is named twice among primary, guardrails and signals")
        if self.rule is Rule.PROBABILITY_TO_BE_BEST and self.primary.test is Test.NON_INFERIORITY:
            raise ValueError("probability_to_be_best has no margin: use group_sequential for non_inferiority")
        return self

    def concerns(self) -> tuple[str, ...]:
        """Return a sentence for each setting that is allowed but suspicious."""
        found = []
        for name in ("min_duration", "max_duration"):
            duration = getattr(self, name)
            if duration % WEEK:
                found.append(
                    f"{name} {format_duration(duration)} is not a multiple of 7 days: weekdays weigh unequally"
                )
        if self.alpha > 0.1:
            found.append(f"alpha {self.alpha:g} ships one of {1 / self.alpha:.0f} treatments that change nothing")
        effect = self.primary.minimum_detectable_effect
        if effect is not None and effect >= 1:
            found.append(
                f"primary.minimum_detectable_effect {effect:g} is a lift of {100 * effect:g} %; "
                f"write {effect / 100:g} for {effect:g} %"
            )
        for number, guardrail in enumerate(self.guardrails):
            if guardrail.margin >= 0.5:
                found.append(
                    f"guardrails[{number}].margin {guardrail.margin:g} tolerates a loss of "
                    f"{100 * guardrail.margin:g} %; write {guardrail.margin / 100:g} for {guardrail.margin:g} %"
                )
        if self.rule is Rule.PROBABILITY_TO_BE_BEST:
            found.append(
                "probability_to_be_best does not bound the error over the looks: simulate it before you trust it"
            )
        if self.primary.minimum_detectable_effect is not None and self.traffic is None and self.planned_units is None:
            found.append("minimum_detectable_effect plans nothing without traffic or planned_units")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Return the policy as plain JSON, defaults included; :meth:`from_json` reads it back."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Policy":
        """Read a policy from plain JSON; absent fields come from the preset under ``preset``, or from the default.

        Raises:
            InvalidSettingError: A field is wrong, or there is no such preset; each field is named with its value. It is
                a ValueError.
        """
        from airflow_provider_launchdarkly.decision.presets import with_preset

        if not isinstance(value, Mapping):
            raise InvalidSettingError(f"policy is {shown(value)}: write a Policy, or a mapping of its fields")
        return cls.read(with_preset(value))

    @classmethod
    def preset(cls, name: str) -> "Policy":
        """Return a preset: ``balanced``, ``do_no_harm``, ``launchdarkly`` or ``frequentist_fixed``.

        Raises:
            InvalidSettingError: There is no such preset; the message lists the presets.
        """
        return cls.from_json({"preset": name})
