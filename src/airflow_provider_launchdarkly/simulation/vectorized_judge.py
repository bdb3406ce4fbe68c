"""Judge many simulated experiments at once, in the order and by the boundaries of `decision.judge`.

The rules stand here a second time because a loop over ten thousand experiments takes minutes. Tests hold both judges to
the same verdict at the same look.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import gammaln, ndtr

from airflow_provider_launchdarkly.decision.allocation import Allocation
from airflow_provider_launchdarkly.decision.assessment import FEWEST_UNITS_FOR_HARM
from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.decision.error_left import policy_left, schedule_left
from airflow_provider_launchdarkly.decision.error_rates import ErrorRates
from airflow_provider_launchdarkly.decision.policy_parts import (
    Clock,
    Direction,
    MismatchAction,
    MissingAction,
    Primary,
    Rule,
)
from airflow_provider_launchdarkly.decision.sample_ratio import PRIOR_UNITS
from airflow_provider_launchdarkly.decision.schedule import LookSchedule, schedule_looks
from airflow_provider_launchdarkly.decision.splits import NEARLY_ALL, SELECTION_ALPHA, SplitAlphas
from airflow_provider_launchdarkly.decision.standing import STILL_THERE
from airflow_provider_launchdarkly.decision.verdict import Kind
from airflow_provider_launchdarkly.simulation.anytime import harmed_at_any_time
from airflow_provider_launchdarkly.simulation.effects import expected_z, z_values
from airflow_provider_launchdarkly.simulation.information import InformationClocks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from numpy.typing import NDArray

    from airflow_provider_launchdarkly.decision.boundaries import Boundary
    from airflow_provider_launchdarkly.decision.evidence import Spent
    from airflow_provider_launchdarkly.decision.futility import Futility
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Guardrail, Signal
    from airflow_provider_launchdarkly.simulation.sampling import Draws, MetricDraws

    Floats = NDArray[np.float64]
    Integers = NDArray[np.int64]
    Booleans = NDArray[np.bool_]
    _Part = Primary | Guardrail | Signal

KINDS = (Kind.WAIT, Kind.SHIP, Kind.ROLLBACK, Kind.INCONCLUSIVE, Kind.INVALID)
CODES = {kind: code for code, kind in enumerate(KINDS)}


@dataclass(frozen=True, slots=True)
class Outcomes:
    """The endings of many experiments, one entry each.

    Attributes:
        kind: Index into `KINDS`; `wait` if no ending was reached.
        look: Index of the look at which it ended.
        day: The time of that look, in days.
        futile: Whether it ended early, as futile.
        winner: Index of the shipped treatment, 0 if none was shipped.
        lift: Observed lift of the winner, or of the first treatment if there is no winner.
    """

    kind: Integers
    look: Integers
    day: Floats
    futile: Booleans
    winner: Integers
    lift: Floats

    def share(self, kind: Kind) -> float:
        """Return the share of the experiments that ended in this kind."""
        return float(np.mean(self.kind == CODES[kind]))

    def are(self, kind: Kind) -> Booleans:
        """Return which experiments ended in this kind."""
        return np.asarray(self.kind == CODES[kind])


def judge(
    policy: Policy, draws: Draws, planned_shares: tuple[float, ...], started_at: datetime | None = None
) -> Outcomes:
    """Judge each experiment until it ends.

    Args:
        policy: The policy.
        draws: The measurements at each look.
        planned_shares: The planned shares of the treatments, the baseline first.
        started_at: Start of the iterations; only needed for looks at cron times.
    """
    return VectorizedJudge(policy, draws, planned_shares, started_at).outcomes()


class VectorizedJudge:
    """All experiments and looks at once; arrays have the axes experiment, look and, where it applies, challenger."""

    def __init__(
        self,
        policy: Policy,
        draws: Draws,
        planned_shares: tuple[float, ...],
        started_at: datetime | None,
        *,
        spent: Spent | None = None,
        repeats: int = 0,
    ) -> None:
        self.policy, self.draws, self.shares = policy, draws, planned_shares
        self.challengers = len(planned_shares) - 1
        self.sign = _sign(policy.primary.direction)
        self.known: dict[tuple[int, float], Floats] = {}
        self.passes: dict[tuple[int, float], Booleans] = {}
        allocation = Allocation.of_shares(planned_shares)
        self.schedule: LookSchedule = schedule_left(schedule_looks(policy, started_at, allocation), policy, spent)
        self.rates = ErrorRates.of(policy_left(policy, spent, repeats), allocation)
        moments, total = draws.moments, draws.units_of(draws.primary).sum(axis=2)
        self.look = np.array([self.schedule.look_at(moment) for moment in moments])
        self.may_spend = (self.look >= self.schedule.spends_from) | (self.schedule.spends_from == 1)
        self.old_enough = np.array([moment >= policy.min_duration for moment in moments])
        self.ended = np.broadcast_to(np.array([moment >= self.schedule.end for moment in moments]), total.shape)
        if self.schedule.planned_units is not None:
            self.ended = self.ended | ((total >= self.schedule.planned_units) & self.old_enough)
            self.share = np.where(self.ended, 1.0, np.minimum(1.0, total / self.schedule.planned_units))
        else:
            clock = [self.schedule.share(moment, 0) for moment in moments]
            self.share = np.broadcast_to(np.array(clock), total.shape)
        self.clocks = InformationClocks(self.schedule, draws, self.ended) if policy.clock is Clock.INFORMATION else None

    def outcomes(self) -> Outcomes:
        """Return how each experiment ends."""
        kind, winner = self.kinds()
        return _first(kind, self.early, winner, self.draws)

    @property
    def early(self) -> Booleans:
        """True where an experiment would be inconclusive before the plan's end."""
        return np.asarray(self._futile & ~self.ended)

    def kinds(self) -> tuple[Integers, Integers]:
        """Return the kind of verdict of each experiment at each look, and the treatment that is best there."""
        success, winner = self._success()
        return self._kinds(success & ~self._held(winner), self.ended | self._futile), winner

    def kinds_if_standing(self, treatment: int) -> Integers:
        """Return the kinds of verdict where this treatment crossed the boundary before: only that one can ship.

        With several primary metrics all are judged afresh.
        """
        if self.policy.other_primaries:
            return self.kinds()[0]
        margin, has_bar = self.policy.primary.margin, self.policy.rule is Rule.GROUP_SEQUENTIAL
        there = self._still_there(self.draws.primary, self.sign, margin, has_bar=has_bar)[..., treatment - 1]
        blocked = self._blocked(standing=True)[..., treatment - 1]
        return self._kinds(there & ~blocked, self.ended | (self._futile & ~there))

    def _kinds(self, ships: Booleans, ends: Booleans) -> Integers:
        """Return the kinds of verdict, given where a treatment may ship, and where the experiment ends otherwise."""
        metrics = (*self.draws.primaries, *self.draws.guardrails, *self.draws.signals)
        parts: tuple[_Part, ...] = self.policy.parts
        mismatch = _mismatch(self.policy, self.draws, self.shares, zip(metrics, parts, strict=True))
        absent = self._absent()
        kind = np.zeros(self.ended.shape, dtype=np.int64)
        # Each step overwrites the ones before, so the kind that is judged first is written last.
        kind[ends] = CODES[Kind.INCONCLUSIVE]
        kind[ships] = CODES[Kind.SHIP]
        if self.policy.rule is Rule.PROBABILITY_TO_BE_BEST:
            kind[self._p_best[..., 0] >= self.policy.threshold] = CODES[Kind.ROLLBACK]
        judged = (*self.draws.primaries, *self.draws.guardrails)
        fewest = np.min([self.draws.units_of(metric).min(axis=2) for metric in judged], axis=0)
        small = fewest < self.policy.min_units_per_treatment
        kind[small] = np.where(self.ended[small], CODES[Kind.INCONCLUSIVE], CODES[Kind.WAIT])
        kind[:, ~self.old_enough] = CODES[Kind.WAIT]
        kind[absent] = np.where(self.ended[absent], CODES[Kind.INVALID], CODES[Kind.WAIT])
        if self.policy.mismatch.action is MismatchAction.HOLD:
            kind[mismatch] = np.where(self.ended[mismatch], CODES[Kind.INVALID], CODES[Kind.WAIT])
        kind[:, self.look == 0] = CODES[Kind.WAIT]
        kind[self._harmed()] = CODES[Kind.ROLLBACK]
        if self.policy.missing.action is MissingAction.INVALID:
            grace = self.policy.lag + self.policy.missing.grace
            late = np.array([moment > grace for moment in self.draws.moments])
            kind[absent & (late | self.ended)] = CODES[Kind.INVALID]
        if self.policy.mismatch.action is MismatchAction.STOP:
            kind[mismatch] = CODES[Kind.INVALID]
        return kind

    def _success(self) -> tuple[Booleans, Integers]:
        """Return whether any treatment passes as the policy asks, and the winner among those that pass.

        Those that nothing holds back come first, then those that pass on an earlier primary metric, then the best mean.
        """
        if self.policy.rule is Rule.PROBABILITY_TO_BE_BEST:
            passed = [self._p_best[..., 1:] >= self.policy.threshold]
        else:
            passed = [
                self._passed(metric, _sign(part.direction), part.margin)
                for part, metric in zip(self.policy.primaries, self.draws.primaries, strict=True)
            ]
        if not self.policy.ships_on_any:
            passed = [np.all(passed, axis=0)]
        free = ~self._blocked()
        winner = np.zeros(self.ended.shape, dtype=np.int64)
        for eligible in (free, ~free):
            for part, metric, won in zip(self.policy.primaries, self.draws.primaries, passed, strict=False):
                candidates = won & eligible
                merit = np.where(candidates, _sign(part.direction) * metric.mean[..., 1:], -np.inf)
                best = np.where(candidates.any(axis=2), merit.argmax(axis=2) + 1, 0)
                winner = np.where(winner == 0, best, winner)
        return winner > 0, np.maximum(winner, 1)

    def _passed(self, metric: MetricDraws, sign: int, margin: float) -> Booleans:
        """Return where each challenger reaches the boundary for success. Each metric is judged once."""
        key = (id(metric), margin * sign)
        if key not in self.passes:
            self.passes[key] = self._reached(metric, sign, margin)
        return self.passes[key]

    def _reached(self, metric: MetricDraws, sign: int, margin: float) -> Booleans:
        alpha, gamma = self.rates.ship, self.policy.ship_spending
        z = self._z(metric, sign, margin)
        passed: Booleans = z >= self._at(self.schedule.ship_boundary(alpha, gamma))[..., None]
        if self.clocks is not None:
            known = self.clocks.known(ship=True)
            for index in range(self.challengers):
                reached = self.clocks.ship(z[..., index], metric, index + 1, alpha, gamma)
                passed[:, known, index] = reached[:, known]
        return passed & self.may_spend[None, :, None]

    def _still_there(self, metric: MetricDraws, sign: int, margin: float, *, has_bar: bool = True) -> Booleans:
        """Return `standing.still_there` of each challenger."""
        there: Booleans = self._z(metric, sign, margin) >= quantile(STILL_THERE)
        return there | self._passed(metric, sign, margin) if has_bar else there

    def _worse(self, metric: MetricDraws, sign: int, margin: float, alpha: float) -> Booleans:
        """Return where each challenger reaches the boundary for harm."""
        gamma, worse = self.policy.harm_spending, -self._z(metric, sign, margin)
        harmed: Booleans = worse >= self._at(self.schedule.harm_boundary(alpha, gamma))[..., None]
        if self.clocks is not None:
            known = self.clocks.known(ship=False)
            for index in range(self.challengers):
                reached = self.clocks.harm(worse[..., index], metric, index + 1, alpha, gamma)
                harmed[:, known, index] = reached[:, known]
        return harmed & self.may_spend[None, :, None]

    def _blocked(self, *, standing: bool = False) -> Booleans:
        """Return the treatments that a guardrail to be proven or a signal holds back."""
        blocked = np.zeros((*self.ended.shape, self.challengers), dtype=np.bool_)
        for part, metric in zip(self.policy.guardrails, self.draws.guardrails, strict=True):
            if part.prove:
                needed = self._still_there if standing else self._passed
                blocked |= ~needed(metric, _sign(part.direction), part.margin)
            if part.needs_events:
                blocked |= self._constant(metric)
        for signal, metric in zip(self.policy.signals, self.draws.signals, strict=True):
            blocked |= -self._z(metric, _sign(signal.direction), 0.0) >= quantile(signal.alpha)
            if signal.required:
                units = self.draws.units_of(metric)
                blocked |= (units[..., 1:] == 0) | (units[..., :1] == 0) | self._constant(metric)
        if self.policy.mismatch.action is not MismatchAction.WARN:
            for rests_on, metric in self._shipping_metrics():
                if rests_on.test_split:
                    blocked |= self._selected(metric)
        return blocked

    def _constant(self, metric: MetricDraws) -> Booleans:
        """Return `MetricJudgement.constant`; true also where nothing was measured, which is judged apart."""
        same = np.isnan(self._z(metric, 1, 0.0)).all(axis=2, keepdims=True)
        return np.asarray(same & (metric.mean == 0).all(axis=2, keepdims=True))

    def _shipping_metrics(self) -> Iterator[tuple[Primary | Guardrail, MetricDraws]]:
        yield from zip(self.policy.primaries, self.draws.primaries, strict=True)
        for part, metric in zip(self.policy.guardrails, self.draws.guardrails, strict=True):
            if part.prove:
                yield part, metric

    def _selected(self, metric: MetricDraws) -> Booleans:
        """Return `splits.is_selected` of each challenger."""
        exposed, units = self.draws.exposed.astype(np.float64), self.draws.units_of(metric)
        some = np.maximum(exposed, 1.0)
        together = (units[..., 1:] + units[..., :1]) / np.maximum(exposed[..., 1:] + exposed[..., :1], 1.0)
        error = np.sqrt(together * (1.0 - together) * (1.0 / some[..., 1:] + 1.0 / some[..., :1]))
        gap = units[..., 1:] / some[..., 1:] - units[..., :1] / some[..., :1]
        part = (together > 0) & (together < NEARLY_ALL) & (exposed[..., 1:] > 0) & (exposed[..., :1] > 0)
        selected: Booleans = part & (np.abs(gap) >= quantile(SELECTION_ALPHA / 2.0) * error)
        return selected

    def _held(self, winner: Integers) -> Booleans:
        blocked: Booleans = np.take_along_axis(self._blocked(), (winner - 1)[..., None], axis=2)
        return blocked[..., 0]

    @cached_property
    def _futile(self) -> Booleans:
        """Return whether no treatment is likely to ship by the plan's end."""
        if self.policy.futility is None or self.policy.rule is not Rule.GROUP_SEQUENTIAL:
            return np.zeros(self.ended.shape, dtype=np.bool_)
        each = [
            self._unlikely(
                self.policy.futility,
                metric,
                _sign(part.direction),
                part.margin,
                part.margin or part.minimum_detectable_effect,
            )
            for part, metric in zip(self.policy.primaries, self.draws.primaries, strict=True)
        ]
        futile = np.all(each, axis=0) if self.policy.ships_on_any else np.any(each, axis=0)
        for part, metric in zip(self.policy.guardrails, self.draws.guardrails, strict=True):
            if part.prove:
                futile |= self._unlikely(self.policy.futility, metric, _sign(part.direction), part.margin, part.margin)
        return np.asarray(futile.all(axis=2))

    def _unlikely(
        self, futility: Futility, metric: MetricDraws, sign: int, margin: float, wanted: float | None
    ) -> Booleans:
        """Return the comparisons that `Futility.ends` ends."""
        open_ = (self.share > 0) & (self.share < 1)
        share = np.where(open_, self.share, 0.5)[..., None]
        boundary = self.schedule.ship_boundary(self.rates.ship, self.policy.ship_spending)
        z, final = self._z(metric, sign, margin), boundary.z[-1]
        if futility.predictive_power is not None:
            least, power = futility.predictive_power, ndtr((z - final * np.sqrt(share)) / np.sqrt(1.0 - share))
        else:
            planned = expected_z(metric, self.draws.units_of(metric), sign, margin, wanted or np.nan)
            ahead = z * np.sqrt(share) + planned / np.sqrt(share) * (1.0 - share) - final
            least, power = futility.conditional_power or 0.0, ndtr(ahead / np.sqrt(1.0 - share))
        unlikely: Booleans = open_[..., None] & (power < least) & ~self._passed(metric, sign, margin)
        return unlikely

    def _harmed(self) -> Booleans:
        harmed = np.zeros(self.ended.shape, dtype=np.bool_)
        for metric, part in _that_roll_back(self.policy, self.draws):
            alpha = self.rates.primary_harm if isinstance(part, Primary) else self.rates.guardrail_harm
            worse = self._worse(metric, _sign(part.direction), part.margin, alpha)
            units = self.draws.units_of(metric)
            enough = np.minimum(units[..., 1:], units[..., :1]) >= FEWEST_UNITS_FOR_HARM
            harmed |= (worse & enough & (self.look > 0)[None, :, None]).any(axis=2)
        return harmed | _harmed_at_any_time(self.policy, self.draws, self.rates.anytime_harm)

    def _absent(self) -> Booleans:
        constant = [np.isnan(self._z(metric, 1, 0.0)).any(axis=2) for metric in self.draws.primaries]
        metrics = (*self.draws.primaries, *self.draws.guardrails)
        none = [(self.draws.units_of(metric) == 0).any(axis=2) for metric in metrics]
        absent: Booleans = np.any(constant, axis=0) | np.any(none, axis=0)
        return absent

    def _at(self, boundary: Boundary) -> Floats:
        """Return `Boundary.at` for an array of shares."""
        first = boundary.shares[0]
        inside = np.interp(self.share, boundary.shares, boundary.z)
        before = boundary.z[0] * np.sqrt(first / np.maximum(self.share, 1e-12))
        reachable = np.where(self.share > first, inside, before)
        return np.where(self.share > 0, reachable, np.inf)

    def _z(self, metric: MetricDraws, sign: int, margin: float) -> Floats:
        """Return `Effect.z` of each challenger, NaN if there is nothing to compare. Each is computed once."""
        key = (id(metric), margin * sign)
        if key not in self.known:
            self.known[key] = z_values(metric, self.draws.units_of(metric), sign, margin) * sign
        return sign * self.known[key]

    @cached_property
    def _p_best(self) -> Floats:
        """Return each treatment's probability to be the best, with a flat prior."""
        primary = self.draws.primary
        units = self.draws.units_of(primary)
        total = np.maximum(units.sum(axis=2, keepdims=True), 1)
        common = (units * primary.mean).sum(axis=2, keepdims=True) / total
        spread = primary.variance + (primary.mean - common) ** 2
        pooled = (units * spread).sum(axis=2, keepdims=True) / total
        # The larger of the own and the pooled standard error, as `effects.standard_errors`.
        error = np.sqrt(np.maximum(primary.variance, pooled) / np.maximum(units, 1))
        known = np.min(error, axis=2, keepdims=True) > 0
        centre, width = self.sign * primary.mean, np.where(error > 0, error, 1.0)
        if centre.shape[2] == 2:
            gap = (centre[..., 0] - centre[..., 1]) / np.hypot(width[..., 0], width[..., 1])
            best = np.stack([ndtr(gap), ndtr(-gap)], axis=2)
        else:
            best = _integrated(centre, width)
        return np.where(known, best, np.nan)


def _first(kind: Integers, early: Booleans, winner: Integers, draws: Draws) -> Outcomes:
    """Return the first ending of each experiment; `early` says where it would be inconclusive before the plan's end."""
    over = kind != CODES[Kind.WAIT]
    look = np.where(over.any(axis=1), over.argmax(axis=1), kind.shape[1] - 1)
    row = np.arange(len(look))
    ended = kind[row, look]
    shipped = np.where(ended == CODES[Kind.SHIP], winner[row, look], 0)
    return outcomes_at(look, ended, shipped, early, draws)


def outcomes_at(look: Integers, ended: Integers, shipped: Integers, early: Booleans, draws: Draws) -> Outcomes:
    """Return the outcomes of experiments that end at these looks, in these kinds, with these treatments."""
    mean, row = draws.primary.mean, np.arange(len(look))
    shown = np.maximum(shipped, 1)
    baseline = mean[row, look, 0]
    lift = np.divide(mean[row, look, shown], baseline, out=np.ones(len(row)), where=baseline != 0) - 1.0
    days = np.array([moment.total_seconds() / 86400.0 for moment in draws.moments])
    early_end = early[row, look] & (ended == CODES[Kind.INCONCLUSIVE])
    return Outcomes(ended, look, days[look], early_end, shipped, lift)


def _mismatch(
    policy: Policy, draws: Draws, planned_shares: tuple[float, ...], parts: Iterable[tuple[MetricDraws, _Part]]
) -> Booleans:
    """Return where the exposed units, or the units of one of these metrics, are not split as allocated."""
    alphas, shares = SplitAlphas.of(policy), np.array(planned_shares) / sum(planned_shares)
    broken = _off(draws.exposed, shares, alphas.exposed)
    for metric, part in parts:
        if part.test_split:
            units = draws.units_of(metric)
            broken |= _off(units, shares, alphas.metric) & (units > 0).all(axis=2)
    return broken


def _off(units: Integers, shares: Floats, alpha: float) -> Booleans:
    """Return where the split of these units is not as allocated."""
    weights = PRIOR_UNITS * shares
    evidence = gammaln(PRIOR_UNITS) - gammaln(PRIOR_UNITS + units.sum(axis=2))
    evidence = evidence + (gammaln(weights + units) - gammaln(weights) - units * np.log(shares)).sum(axis=2)
    return np.asarray(evidence >= -np.log(alpha))


def _that_roll_back(policy: Policy, draws: Draws) -> list[tuple[MetricDraws, Primary | Guardrail]]:
    """Return the metrics that are judged for harm, with their parts of the policy."""
    parts: list[tuple[MetricDraws, Primary | Guardrail]] = list(zip(draws.guardrails, policy.guardrails, strict=True))
    deciding = zip(draws.primaries, policy.primaries, strict=True)
    return [*parts, *deciding] if policy.rule is Rule.GROUP_SEQUENTIAL else parts


def _harmed_at_any_time(policy: Policy, draws: Draws, alpha: float) -> Booleans:
    """Return where a treatment is harmed by the tests that hold at any moment; nowhere without `harm_looks`."""
    harmed = np.zeros(draws.exposed.shape[:2], dtype=np.bool_)
    if alpha:
        for metric, part in _that_roll_back(policy, draws):
            sign, units = _sign(part.direction), draws.units_of(metric)
            harmed |= harmed_at_any_time(metric, units, sign, part.margin, alpha).any(axis=2)
    return harmed


def judge_harm(policy: Policy, draws: Draws, planned_shares: tuple[float, ...]) -> Outcomes:
    """Judge harm alone at each moment, as `decide` does between two planned looks.

    Args:
        policy: The policy, with `harm_looks`.
        draws: The measurements at each moment.
        planned_shares: The planned shares of the treatments, the baseline first.
    """
    kind = np.zeros(draws.exposed.shape[:2], dtype=np.int64)
    alpha = ErrorRates.of(policy_left(policy, None, 0), Allocation.of_shares(planned_shares)).anytime_harm
    kind[_harmed_at_any_time(policy, draws, alpha)] = CODES[Kind.ROLLBACK]
    if policy.mismatch.action is MismatchAction.STOP:
        kind[_mismatch(policy, draws, planned_shares, _that_roll_back(policy, draws))] = CODES[Kind.INVALID]
    return _first(kind, np.zeros(kind.shape, dtype=np.bool_), np.zeros_like(kind), draws)


def _integrated(centre: Floats, width: Floats) -> Floats:
    best = np.zeros_like(centre)
    nodes, weights = np.polynomial.hermite_e.hermegauss(48)
    for index in range(centre.shape[2]):
        for node, weight in zip(nodes, weights / np.sqrt(2.0 * np.pi), strict=True):
            place = centre[..., index] + node * width[..., index]
            below = np.ones_like(place)
            for rival in range(centre.shape[2]):
                if rival != index:
                    below *= ndtr((place - centre[..., rival]) / width[..., rival])
            best[..., index] += weight * below
    return best


def _sign(direction: Direction | None) -> int:
    return direction.sign if direction is not None else 1
