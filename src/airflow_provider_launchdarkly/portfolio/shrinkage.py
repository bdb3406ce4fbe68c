"""Learn from many experiments how large effects really are, and correct each of them by it.

The model (Efron 2010, "Large-Scale Inference", chapters 2 and 5): a share of the experiments has no effect at all, and
the others have effects of one common shape. Both are learned from all experiments together. The probability that one of
them has no effect, given its estimate, is the local false discovery rate; the mean of its posterior is the shrunken
effect. Shapes decay from 0, on one side or both, as Stephens (2017) has them ("False discovery rates: a new deal",
Biostatistics 18), or are normal and need not be centred at 0.

An estimate at a sequential stop is biased, but its likelihood is not: at the stop it is proportional to
``exp(effect * x / error**2 - effect**2 / (2 error**2))`` for every rule that stops by the data alone (Berger & Wolpert
1988, "The Likelihood Principle", section 4.2). So what is learned here needs no correction for the looks, as long as
all experiments go in: those that were inconclusive or rolled back too.

With few experiments many shapes fit. So none is picked: all shapes of a grid are averaged, weighted by how well they
fit. The prior is flat over the shapes, and that of the share without effect rises with its root. The intervals contain
that uncertainty.
"""

from __future__ import annotations

import math
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_launchdarkly.decision.boundaries import quantile
from airflow_provider_launchdarkly.portfolio.slabs import Decay, Estimate, Normal, Piece, Shape

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST = 6
"""With fewer experiments the shape of the effects cannot be told from noise."""

CONFIDENCE = 0.95
"""Level of every interval here."""

# Shares of experiments without effect: midpoints of even cells.
_SHARES = tuple((cell + 0.5) / 20.0 for cell in range(20))

# Shapes, in median standard errors of the estimates: from a quarter of the noise to far beyond it.
_MEANS = tuple(0.4 * 40.0 ** (step / 11.0) for step in range(12))
_GOOD_SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
_NORMAL_SPREADS = tuple(0.25 * 32.0 ** (step / 7.0) for step in range(8))
_FROM_ZERO = (1.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0)
_CENTRES = (0.0, *_FROM_ZERO, *(-centre for centre in _FROM_ZERO))

# Hypotheses that fit this much worse than the best one change no digit that is shown.
_NEGLIGIBLE = 1e-5


class Shrunken(NamedTuple):
    """The likely effect of one experiment.

    Attributes:
        effect: Mean of the posterior: the shrunken lift.
        lower: Lower end of its interval (:data:`CONFIDENCE`).
        upper: Upper end.
        false_ship: Probability that the treatment is no better than the policy demands, so that to ship it is wrong.
    """

    effect: float
    lower: float
    upper: float
    false_ship: float


class Total(NamedTuple):
    """The likely sum of several experiments' effects.

    Attributes:
        effect: Expected sum of the lifts.
        effect_lower: Lower end of its interval (:data:`CONFIDENCE`).
        effect_upper: Upper end.
        false_share: Expected share of false ships among them; 0 if there are none.
        false_lower: Lower end of its interval.
        false_upper: Upper end.
    """

    effect: float
    effect_lower: float
    effect_upper: float
    false_share: float
    false_lower: float
    false_upper: float


class _Moments(NamedTuple):
    """The posterior of one estimate under one shape: mean, mean square, probability of a false ship."""

    mean: float
    square: float
    false: float


class Learned(NamedTuple):
    """The distribution of effects, as the experiments show it.

    Attributes:
        without_effect: Expected share of all experiments that have no effect.
        shapes: The shapes that fit, in the order of `weights`.
        weights: Probability of each share without effect, one row for each shape; they sum to 1.
    """

    without_effect: float
    shapes: tuple[Shape, ...]
    weights: tuple[tuple[tuple[float, float], ...], ...]

    def shrink(self, estimate: Estimate) -> Shrunken:
        """Return what an estimate's effect is likely to be."""
        nothing, pieces = 1.0, []
        for shape, row in zip(self.shapes, self.weights, strict=True):
            odds = _odds(shape.log_ratio(estimate))
            real = math.fsum(weight * _real(share, odds) for share, weight in row)
            nothing -= real
            pieces += [piece._replace(weight=real * piece.weight) for piece in shape.posterior(estimate)]
        nothing = max(nothing, 0.0)
        mean = math.fsum(piece.weight * piece.moments()[0] for piece in pieces)
        beyond = 0.5 * (1.0 - CONFIDENCE)
        return Shrunken(
            mean,
            _quantile(beyond, nothing, pieces),
            _quantile(1.0 - beyond, nothing, pieces),
            _at_most(-estimate.margin, nothing, pieces),
        )

    def total(self, estimates: Sequence[Estimate]) -> Total:
        """Return what these experiments bring together.

        Their effects are independent once the share and the shape are known, and share what is not known of those: both
        parts of the variance are in the intervals, which are normal ones.
        """
        if not estimates:
            return Total(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        effect, false = _Spread(), _Spread()
        for shape, row in zip(self.shapes, self.weights, strict=True):
            known = [(_odds(shape.log_ratio(estimate)), _moments(shape, estimate)) for estimate in estimates]
            without = [1.0 if estimate.margin == 0 else 0.0 for estimate in estimates]
            for share, weight in row:
                reals = [_real(share, odds) for odds, _ in known]
                means = [real * part.mean for real, (_, part) in zip(reals, known, strict=True)]
                squares = [real * part.square for real, (_, part) in zip(reals, known, strict=True)]
                wrong = [
                    (1.0 - real) * null + real * part.false
                    for real, null, (_, part) in zip(reals, without, known, strict=True)
                ]
                effect.add(weight, sum(means), sum(squares) - sum(mean * mean for mean in means))
                false.add(weight, sum(wrong), sum(p * (1.0 - p) for p in wrong))
        count = len(estimates)
        lower, upper = false.interval()
        return Total(
            effect.mean, *effect.interval(), false.mean / count, max(lower / count, 0.0), min(upper / count, 1.0)
        )


class _Spread:
    """Mean and variance of a mixture of totals."""

    def __init__(self) -> None:
        self.mean = self._square = self._within = 0.0

    def add(self, weight: float, mean: float, variance: float) -> None:
        self.mean += weight * mean
        self._square += weight * mean * mean
        self._within += weight * variance

    def interval(self) -> tuple[float, float]:
        reach = quantile(0.5 * (1.0 - CONFIDENCE))
        width = reach * math.sqrt(max(self._within + self._square - self.mean * self.mean, 0.0))
        return self.mean - width, self.mean + width


def learn(estimates: Sequence[Estimate]) -> Learned:
    """Learn the share of experiments without effect and the shape of the others' effects.

    Args:
        estimates: All experiments, whatever became of them; to leave out those that did not ship makes effects look
            larger than they are.

    Raises:
        ValueError: There are fewer than :data:`FEWEST`, or an estimate is not finite or has no error.
    """
    if len(estimates) < FEWEST:
        raise ValueError(f"{len(estimates)} experiments; at least {FEWEST} are needed to tell effects from noise")
    for estimate in estimates:
        if not (math.isfinite(estimate.effect) and math.isfinite(estimate.error) and estimate.error > 0):
            raise ValueError(f"{estimate} is no estimate: give a finite effect and an error above 0")
    fits: list[tuple[Shape, list[float]]] = []
    for shape, prior in _shapes(median(estimate.error for estimate in estimates)):
        ratios = [shape.log_ratio(estimate) for estimate in estimates]
        fits.append((shape, [prior + 0.5 * math.log(share) + _log_likelihood(share, ratios) for share in _SHARES]))
    highest = max(max(row) for _, row in fits)
    weighed = [
        (shape, [(share, math.exp(fit - highest)) for share, fit in zip(_SHARES, row, strict=True)])
        for shape, row in fits
    ]
    kept = [
        (shape, found)
        for shape, row in weighed
        if (found := [(share, weight) for share, weight in row if weight > _NEGLIGIBLE])
    ]
    total = math.fsum(weight for _, row in kept for _, weight in row)
    weights = tuple(tuple((share, weight / total) for share, weight in row) for _, row in kept)
    without = math.fsum(share * weight for row in weights for share, weight in row)
    return Learned(without, tuple(shape for shape, _ in kept), weights)


def _shapes(unit: float) -> list[tuple[Shape, float]]:
    """Return every shape with the logarithm of its prior: half for either family, evenly within it."""
    decays: list[Shape] = [Decay(good, unit * mean) for mean in _MEANS for good in _GOOD_SHARES]
    normals: list[Shape] = [Normal(unit * centre, unit * spread) for spread in _NORMAL_SPREADS for centre in _CENTRES]
    return [(shape, -math.log(len(family))) for family in (decays, normals) for shape in family]


def _log_likelihood(share: float, ratios: Sequence[float]) -> float:
    """Return the log-likelihood of a share without effect, relative to no effect anywhere."""
    rest = 1.0 - share
    log_rest, exp, log = math.log(rest), math.exp, math.log
    # Beyond e^30, "no effect" adds nothing; it also keeps exp from overflowing.
    return math.fsum([log(share + rest * exp(ratio)) if ratio < 30.0 else log_rest + ratio for ratio in ratios])


def _odds(log_ratio: float) -> float:
    return math.exp(min(log_ratio, 600.0))


def _real(share: float, odds: float) -> float:
    """Return the probability of a real effect, by the share without and the ratio of the densities."""
    return 1.0 / (1.0 + share / ((1.0 - share) * odds)) if odds > 0.0 else 0.0


def _moments(shape: Shape, estimate: Estimate) -> _Moments:
    mean = square = false = 0.0
    for piece in shape.posterior(estimate):
        centre, variance = piece.moments()
        mean += piece.weight * centre
        square += piece.weight * (centre * centre + variance)
        false += piece.weight * piece.at_most(-estimate.margin)
    return _Moments(mean, square, false)


def _at_most(value: float, nothing: float, pieces: Sequence[Piece]) -> float:
    found = math.fsum(piece.weight * piece.at_most(value) for piece in pieces)
    return min(found + (nothing if value >= 0 else 0.0), 1.0)


def _quantile(probability: float, nothing: float, pieces: Sequence[Piece]) -> float:
    """Return the smallest effect that the posterior exceeds with at most the rest of the probability."""
    below = _at_most(0.0, 0.0, pieces)
    if below < probability <= below + nothing:
        return 0.0
    reach = max((abs(piece.centre) + 9.0 * piece.spread for piece in pieces), default=0.0)
    low, high = (-reach, 0.0) if probability <= below else (0.0, reach)
    known = [piece for piece in pieces if piece.weight > _NEGLIGIBLE]
    for _ in range(30):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if _at_most(middle, nothing, known) < probability else (low, middle)
    return 0.5 * (low + high)
