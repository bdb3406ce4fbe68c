"""The parts of a policy: metrics, looks, traffic, and what to do about data that are missing or wrong."""

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration, parse_duration
from airflow_provider_launchdarkly.config.keys import check_key
from airflow_provider_launchdarkly.config.strict_model import StrictModel

DAY = timedelta(days=1)
WEEK = timedelta(days=7)

# A boundary for more looks than this costs seconds to solve and gains nothing: neighbouring looks see the same data.
MOST_LOOKS = 200

# LaunchDarkly computes results every 15 minutes at best (docs, "Experimentation", analysis).
MOST_OFTEN_FOR_HARM = timedelta(minutes=5)

Duration = Annotated[
    timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str, when_used="json")
]


def _seldom_enough(value: timedelta) -> timedelta:
    if value < MOST_OFTEN_FOR_HARM:
        least = format_duration(MOST_OFTEN_FOR_HARM)
        raise ValueError(f"is {format_duration(value)}; results do not change that fast, at least {least}")
    return value


HarmInterval = Annotated[Duration, AfterValidator(_seldom_enough)]
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


class Clock(StrEnum):
    """The measure of how much two looks agree, on which their boundaries rest."""

    INFORMATION = "information"
    TIME = "time"


class OnChange(StrEnum):
    """The action when an iteration is judged by another policy than before."""

    SPEND_LEFT = "spend_left"
    REFUSE = "refuse"
    ACCEPT = "accept"


class OnRepeat(StrEnum):
    """The action when an earlier iteration asked the same question."""

    ACCEPT = "accept"
    REFUSE = "refuse"
    DIVIDE = "divide"


class Rule(StrEnum):
    """The rule by which success is judged."""

    GROUP_SEQUENTIAL = "group_sequential"
    PROBABILITY_TO_BE_BEST = "probability_to_be_best"


class Test(StrEnum):
    """The claim that a treatment must prove on the primary metric."""

    __test__ = False  # not a test case, whatever pytest thinks of the name

    SUPERIORITY = "superiority"
    NON_INFERIORITY = "non_inferiority"


class ShipIf(StrEnum):
    """How many of several primary metrics a treatment must pass on."""

    ANY = "any"
    ALL = "all"


class Multiplicity(StrEnum):
    """The correction for several treatments that are compared with one baseline."""

    DUNNETT = "dunnett"
    BONFERRONI = "bonferroni"


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
        test_split: Test whether the units of this metric are split as allocated. False for a metric of which it is
            known that the treatment changes who is measured.
    """

    metric: MetricKey | None = None
    direction: Direction | None = None
    test: Test = Test.SUPERIORITY
    margin: Margin = 0.0
    minimum_detectable_effect: Annotated[float, Field(gt=0.0, le=10.0, strict=True)] | None = None
    test_split: Flag = True

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
        needs_events: Ship only when the metric is not 0 for every unit of every treatment. A metric without a
            single event, such as one with a misspelt key, shows no harm and no safety. False for one that may well stay
            without events, such as crashes.
        test_split: As for the primary metric.
    """

    metric: MetricKey
    direction: Direction | None = None
    margin: Margin = 0.0
    prove: Flag = False
    needs_events: Flag = True
    test_split: Flag = True

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.prove and self.margin == 0:
            raise ValueError(
                f"guardrail {self.metric}: prove needs a margin above 0, since no loss at all cannot be shown"
            )
        return self


class ReleaseGuardrail(StrictModel):
    """A release of a flag in the experiment's environment, whose metrics LaunchDarkly judges.

    A metric that regressed rolls back. While LaunchDarkly has no state of a metric, nothing ships, and a plan that ends
    so is invalid. It spends none of `alpha_harm`, which does not cover it.

    Attributes:
        flag: Key of the flag, the experiment's or another one.
        release: Id of the release. None takes those that ran since the experiment began: a regression in any of them,
            and the newest one for the rest.
    """

    flag: MetricKey
    release: Annotated[str, Field(min_length=1), AfterValidator(check_key)] | None = None


class Signal(StrictModel):
    """A metric that delays shipping while it points the wrong way (nominal one-sided p below `alpha`).

    It delays shipping too while it has no data, or is 0 for every unit of every treatment, unless `required` is
    false: a signal that nobody measures says nothing.

    Attributes:
        metric: Key of the metric.
        direction: None takes LaunchDarkly's ``successCriteria``.
        alpha: One-sided p value below which shipping waits. It is not corrected for looks, since it ships nothing.
        required: Delay shipping while the signal has no data for the treatment or the baseline, or is 0 for every
            unit.
        test_split: As for the primary metric.
    """

    metric: MetricKey
    direction: Direction | None = None
    alpha: Probability = 0.05
    required: Flag = True
    test_split: Flag = True


def _not_false(value: Any) -> Any:
    return None if value is False else value


class AtDeadline(StrEnum):
    """The action on a look whose data have not arrived by the deadline."""

    TAKE = "take"
    SKIP = "skip"
    FAIL = "fail"


class OnData(StrictModel):
    """Looks that wait for the data of their time.

    Attributes:
        deadline: Longest time that a look waits for its data.
        otherwise: The action at the deadline. `take` looks at what is there, with a caution; `skip` leaves the look
            out, but never the plan's end; `fail` fails the task, whose retries ask again.
    """

    deadline: Duration = DAY / 2
    otherwise: AtDeadline = AtDeadline.TAKE

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {} if value is True else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.deadline <= timedelta():
            raise ValueError(f"deadline is {format_duration(self.deadline)}, not above 0")
        return self


# What `looks: on_data` stands for where no preset has looks of its own.
DAILY = {"every": "1d"}
ON_DATA = "on_data"


class Looks(StrictModel):
    """The times of the looks: evenly spaced, at cron times, at a list of times, or only at the end.

    `looks: 1d` is short for `every`, and `looks: on_data` for `on_data: true` at the default times, or the preset's.

    Attributes:
        every: Spacing, from the iteration's start.
        cron: Cron expression, with the meaning that it has as ``schedule`` of an Airflow DAG.
        timezone: IANA name of the time zone of `cron`.
        times: Durations after the iteration's start.
        only_at_end: One look, at the maximum duration.
        on_data: Each look waits until the data of its time have arrived; `true` is short for the defaults. Its numbers
            and its boundary are those of its planned time, however late it is. Needs `arrival` at the sensor or in the
            rollout, and a decision record. None looks at the planned times, whatever data are there.

    The plan's end is always a look.
    """

    every: Duration | None = None
    cron: str | None = None
    timezone: str = "UTC"
    times: tuple[Duration, ...] = ()
    only_at_end: Flag = False
    on_data: Annotated[OnData | None, BeforeValidator(_not_false)] = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if value == ON_DATA:
            value = {"on_data": True}
        if isinstance(value, dict) and set(value) == {"on_data"}:
            return {**DAILY, **value}
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


class PortfolioShare(StrictModel):
    """An error that many experiments share. The decision records are its ledger, so it needs ``record_path``.

    With `alpha` and `experiments`, each of at most so many iterations spends an equal share as its `alpha`
    (Bonferroni): the probability that any of them ships something without effect is at most the portfolio's `alpha`.

    With `false_discovery_rate`, each experiment spends the policy's own `alpha`, and a person decides at the quarter's
    end, by Benjamini & Hochberg over all of them (`airflow-launchdarkly portfolio --false-discovery-rate`), which ships
    stand. A rollout with it asks before it ships.

    Attributes:
        name: Name of the portfolio; experiments with this name in one folder of records share it.
        alpha: One-sided error of the whole portfolio.
        experiments: Iterations that may take a share.
        false_discovery_rate: Largest expected share of false ships among all ships.
    """

    name: Annotated[str, Field(min_length=1, max_length=256)]
    alpha: Probability | None = None
    experiments: Annotated[int, Field(ge=1, le=100_000, strict=True)] | None = None
    false_discovery_rate: Probability | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        divided, bounded = (self.alpha, self.experiments), self.false_discovery_rate is not None
        if bounded == any(part is not None for part in divided) or (not bounded and None in divided):
            raise ValueError(
                f"portfolio {self.name!r}: give alpha and experiments, to divide an error, or only false_discovery_rate"
            )
        return self

    @property
    def each(self) -> float | None:
        """The error that one experiment may spend; None if the policy's own `alpha` is spent."""
        return None if self.alpha is None or self.experiments is None else self.alpha / self.experiments


class Mismatch(StrictModel):
    """The test for a sample ratio mismatch: of the exposed units, and of the units of each metric.

    Attributes:
        alpha: Probability of any alarm, over any number of looks and all tests, while units are split as allocated.
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


class Baseline(StrictModel):
    """The baseline's values of one metric.

    Attributes:
        mean: Its mean; a rate for a conversion metric.
        std_dev: Its standard deviation per unit; None for a conversion metric, where the rate gives it.
    """

    mean: Annotated[float, Field(strict=True)]
    std_dev: Annotated[float, Field(gt=0.0, strict=True)] | None = None

    @model_validator(mode="after")
    def _check_rate(self) -> Self:
        if self.std_dev is None and not 0 < self.mean < 1:
            raise ValueError(f"mean {self.mean} is no conversion rate; give std_dev for a numeric metric")
        return self

    @property
    def deviation(self) -> float:
        """Standard deviation per unit."""
        return self.std_dev if self.std_dev is not None else (self.mean * (1.0 - self.mean)) ** 0.5


class Traffic(Baseline):
    """The expected traffic and baseline; they plan the number of units and feed the simulation.

    Attributes:
        units_per_day: Units that enter the experiment in a day, over all treatments.
        mean: The baseline's mean of the primary metric; a rate for a conversion metric.
        std_dev: Its standard deviation per unit; None for a conversion metric, where the rate gives it.
        metrics: Mean and standard deviation of guardrails and signals, by key; others are taken to be like the primary
            metric. Only `power` and `simulate` use them.
    """

    units_per_day: Annotated[float, Field(gt=0.0, strict=True)]
    metrics: dict[MetricKey, Baseline] = Field(default_factory=dict)

    def of(self, metric: str) -> Baseline:
        """Return the baseline's values of a guardrail or signal."""
        return self.metrics.get(metric, self)


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
