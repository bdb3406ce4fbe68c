"""The policy of an experiment: metrics, error rates, looks, shortest and longest run.

The models hold and check what a user asks for; `schedule` and `boundaries` compute what it takes.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, model_validator

from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.problems import InvalidSettingError, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.futility import Futility
from airflow_provider_launchdarkly.decision.policy_parts import (
    DAY,
    MOST_LOOKS,
    WEEK,
    Budget,
    Clock,
    Duration,
    Guardrail,
    HarmInterval,
    Looks,
    Mismatch,
    Missing,
    Multiplicity,
    OnChange,
    OnRepeat,
    PortfolioShare,
    Primary,
    Probability,
    ReleaseGuardrail,
    Rule,
    ShipIf,
    Signal,
    Spending,
    Test,
    Traffic,
)


def _off(value: Any) -> Any:
    return None if value is False or value == "off" else value


class Policy(StrictModel):
    """The rules by which an experiment is decided; a preset is a policy too.

    Error rates are one-sided: `alpha` is the probability that a treatment without any effect is ever shipped, over all
    looks and all treatments; `alpha_harm` that a harmless experiment is ever rolled back, over all looks, treatments,
    guardrails and the primary metric.

    Attributes:
        rule: Rule by which success is judged.
        primary: The metric that decides.
        other_primaries: Further primary metrics, each with its own key. Harm to any of them rolls back.
        ship_if: With several primary metrics: `any` ships a treatment that passes on one of them, with `alpha` divided
            evenly among them; `all` ships one that passes on all of them, each with the whole `alpha`.
        guardrails: Metrics that must not get worse.
        release_guardrails: Releases of LaunchDarkly's whose metrics must not regress. LaunchDarkly judges them.
        signals: Metrics that delay shipping.
        alpha: One-sided family-wise error of shipping.
        alpha_harm: One-sided family-wise error of rolling back.
        portfolio: An error that many experiments share: it gives `alpha`, or bounds the share of false ships.
        multiplicity: Correction for several treatments. `dunnett` uses that they share one baseline, and finds more;
            `bonferroni` divides the error evenly, and needs no assumption.
        ship_spending: gamma of the Hwang-Shih-DeCani spending function for shipping; late.
        harm_spending: The same for harm; almost evenly, since harm must be found early.
        threshold: For `probability_to_be_best`: the probability at which a treatment wins.
        looks: Times of the looks.
        harm_looks: Time between two looks for harm alone, from 5 minutes; None judges harm at `looks` only. Between two
            planned looks they judge by a test that holds at any number of looks, for a fifth of `alpha_harm`.
        min_duration: Nothing ships before.
        max_duration: The plan's end.
        min_units_per_treatment: Nothing ships while a treatment has fewer units on the primary metric or a guardrail.
        burn_in: Units that were first exposed within this time after the start do not count: they show the novelty.
        maturity: Units that were first exposed within this time before a look do not count yet: their outcome is not
            known. Only results from SQL can leave units out.
        clock: `information` takes the boundaries from what the earlier looks measured, which keeps the error rates
            however traffic comes and metrics mature. `time` takes them from the plan alone, as `information` does while
            no earlier look is known.
        planned_units: Units over all treatments at which the plan ends, if that comes before `max_duration`. With it
            the boundary follows the units instead of the clock.
        traffic: Expected traffic and baseline. With `primary.minimum_detectable_effect`, or the margin of
            non-inferiority, it plans the units for `power`, if they arrive before `max_duration`.
        power: Probability with which the effect to be detected is to be found.
        futility: The power below which an experiment ends early, without a winner; `off`, or null, for never. It is for
            `group_sequential`, and never acts before `min_duration`.
        mismatch: The test of the split.
        missing: Handling of data that do not arrive.
        budget: Limits that the simulation checks.
        on_change: What happens if the iteration was judged by another policy before: `spend_left` spends only the error
            that is left, over the remaining looks; `refuse` fails the task; `accept` spends the whole error anew, and
            says what that costs. Needs a decision record.
        on_repeat: What happens if earlier iterations of the experiment asked the same question: `accept` says what that
            costs; `refuse` fails the task; `divide` gives the first iteration half of `alpha`, and each later one half
            of the one before, so that all together stay within it.
    """

    rule: Rule = Rule.GROUP_SEQUENTIAL
    primary: Primary = Primary.model_construct()
    other_primaries: tuple[Primary, ...] = ()
    ship_if: ShipIf | None = None
    guardrails: tuple[Guardrail, ...] = ()
    release_guardrails: tuple[ReleaseGuardrail, ...] = ()
    signals: tuple[Signal, ...] = ()
    alpha: Probability = 0.05
    alpha_harm: Probability = 0.05
    portfolio: PortfolioShare | None = None
    multiplicity: Multiplicity = Multiplicity.DUNNETT
    ship_spending: Spending = -2.4
    harm_spending: Spending = -0.2
    threshold: Annotated[float, Field(gt=0.5, lt=1.0, strict=True)] = 0.95
    looks: Looks = Looks.model_construct(every=DAY)
    harm_looks: HarmInterval | None = None
    min_duration: Duration = WEEK
    max_duration: Duration = 4 * WEEK
    min_units_per_treatment: Annotated[int, Field(ge=2, strict=True)] = 100
    clock: Clock = Clock.INFORMATION
    burn_in: Duration = timedelta()
    maturity: Duration = timedelta()
    planned_units: Annotated[int, Field(ge=4, strict=True)] | None = None
    traffic: Traffic | None = None
    power: Annotated[float, Field(ge=0.5, lt=1.0, strict=True)] = 0.8
    futility: Annotated[Futility | None, BeforeValidator(_off)] = Futility.model_construct(predictive_power=0.01)
    mismatch: Mismatch = Mismatch.model_construct()
    missing: Missing = Missing.model_construct()
    budget: Budget | None = None
    on_change: OnChange = OnChange.SPEND_LEFT
    on_repeat: OnRepeat = OnRepeat.ACCEPT

    @model_validator(mode="before")
    @classmethod
    def _alpha_of_portfolio(cls, value: Any) -> Any:
        if not isinstance(value, Mapping) or value.get("alpha") is not None or value.get("portfolio") is None:
            return value
        portfolio = value["portfolio"]
        if not isinstance(portfolio, PortfolioShare):
            try:
                portfolio = PortfolioShare.read(portfolio)
            except InvalidSettingError:
                return value  # told for the field itself
        return value if portfolio.each is None else {**value, "alpha": portfolio.each}

    @model_validator(mode="after")
    def _check_portfolio(self) -> Self:
        if self.portfolio is None:
            return self
        if self.portfolio.each is not None and self.alpha != self.portfolio.each:
            raise ValueError(
                f"alpha {self.alpha:g} beside portfolio {self.portfolio.name!r}: leave alpha out, since the portfolio "
                f"gives each of {self.portfolio.experiments} experiments {self.portfolio.each:g}"
            )
        if self.rule is not Rule.GROUP_SEQUENTIAL:
            raise ValueError(f"{self.rule.value} spends no alpha of a portfolio: use group_sequential")
        return self

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
        if self.harm_looks is not None and self.harm_looks >= (self.looks.every or self.max_duration):
            spacing = "looks.every" if self.looks.every is not None else "max_duration"
            raise ValueError(
                f"harm_looks {format_duration(self.harm_looks)} is not shorter than {spacing} "
                f"{format_duration(self.looks.every or self.max_duration)}; harm is judged at every look anyway, so "
                "shorten harm_looks or leave it out"
            )
        if self.harm_looks is not None and not self.judges_harm:
            raise ValueError(
                f"harm_looks {format_duration(self.harm_looks)} has nothing to look at: probability_to_be_best judges "
                "no harm to the primary metric, and there are no guardrails; leave it out"
            )
        keys = [part.metric for part in self.parts]
        twice = sorted({key for key in keys if key is not None and keys.count(key) > 1})
        if twice:
            raise ValueError(f"metric {twice[0]} is named twice among the primary metrics, guardrails and signals")
        named = [(part.flag, part.release) for part in self.release_guardrails]
        for number, part in enumerate(named):
            if part in named[:number] or (part[1] is not None and (part[0], None) in named):
                raise ValueError(
                    f"release_guardrails[{number}] names flag {part[0]!r}, which another entry names too: leave it out"
                )
        if self.rule is Rule.PROBABILITY_TO_BE_BEST and self.primary.test is Test.NON_INFERIORITY:
            raise ValueError("probability_to_be_best has no margin: use group_sequential for non_inferiority")
        planned = self.primary.margin or self.primary.minimum_detectable_effect
        if self.futility is not None and self.futility.conditional_power is not None and not planned:
            raise ValueError(
                "futility.conditional_power is about the planned effect, and the policy has none: set "
                "primary.minimum_detectable_effect, or use futility: {predictive_power: 0.01}"
            )
        return self

    @model_validator(mode="after")
    def _check_lag(self) -> Self:
        for name in ("burn_in", "maturity"):
            if getattr(self, name) < timedelta():
                raise ValueError(f"{name} is {format_duration(getattr(self, name))}, below 0")
        if self.lag >= self.max_duration:
            raise ValueError(
                f"burn_in {format_duration(self.burn_in)} and maturity {format_duration(self.maturity)} leave no unit "
                f"before max_duration {format_duration(self.max_duration)}: shorten them, or let the plan run longer"
            )
        return self

    @property
    def lag(self) -> timedelta:
        """Time after the start until the first unit counts: `burn_in` and `maturity`."""
        return self.burn_in + self.maturity

    @property
    def primaries(self) -> tuple[Primary, ...]:
        """The metrics that decide."""
        return (self.primary, *self.other_primaries)

    @property
    def parts(self) -> tuple[Primary | Guardrail | Signal, ...]:
        """All metrics: those that decide, then guardrails, then signals."""
        return (*self.primaries, *self.guardrails, *self.signals)

    @property
    def watched(self) -> tuple[str, ...]:
        """All guardrails in words: metrics by their keys, and releases."""
        releases = (f"LaunchDarkly's release of {part.flag}" for part in self.release_guardrails)
        return (*(part.metric for part in self.guardrails), *releases)

    @property
    def judges_harm(self) -> bool:
        """True if harm is judged: to a metric that decides, to a guardrail, or in a release."""
        return self.rule is Rule.GROUP_SEQUENTIAL or bool(self.guardrails or self.release_guardrails)

    @property
    def ships_on_any(self) -> bool:
        """True if a treatment ships that passes on one of several primary metrics."""
        return self.ship_if is ShipIf.ANY

    @model_validator(mode="after")
    def _check_primaries(self) -> Self:
        if bool(self.other_primaries) != (self.ship_if is not None):
            given = f"ship_if is {self.ship_if.value}" if self.ship_if is not None else "ship_if is missing"
            raise ValueError(
                f"{given}, with {len(self.primaries)} primary metric(s): write `ship_if: any` or `ship_if: all` with "
                "other_primaries, and leave it out without them"
            )
        for number, part in enumerate(self.other_primaries):
            if part.metric is None:
                raise ValueError(f"other_primaries[{number}].metric is missing: give its key")
        if self.other_primaries and self.rule is Rule.PROBABILITY_TO_BE_BEST:
            raise ValueError("probability_to_be_best judges one primary metric: use group_sequential for several")
        return self

    @model_validator(mode="after")
    def _check_traffic(self) -> Self:
        keys = [part.metric for part in self.parts[1:]]
        for key in self.traffic.metrics if self.traffic is not None else ():
            if key not in keys:
                raise ValueError(
                    f"traffic.metrics names {key!r}, which is no other primary metric, guardrail or signal; the "
                    "primary metric's values are traffic.mean and traffic.std_dev"
                )
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
        if self.lag:
            found.append(
                f"no unit counts before {format_duration(self.lag)} (burn_in {format_duration(self.burn_in)}, maturity "
                f"{format_duration(self.maturity)}): there are no looks before, and no harm is seen"
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
        """Return a preset: ``balanced``, ``do_no_harm``, ``launchdarkly``, ``frequentist_fixed`` or ``weekly``.

        Raises:
            InvalidSettingError: There is no such preset; the message lists the presets.
        """
        return cls.from_json({"preset": name})
