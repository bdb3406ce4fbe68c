"""The evidence of one look: each source of results brings its numbers into this form."""

from __future__ import annotations

import math
from itertools import pairwise
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.decision.policy_parts import Direction


# A larger number cannot be squared and compared.
LARGEST = 1e100


class EvidenceError(ValueError):
    """Evidence that cannot be true or does not fit the policy. The message names the metric and the treatment."""


class TreatmentEvidence(NamedTuple):
    """A treatment and its exposed units.

    Attributes:
        id: LaunchDarkly's id of the treatment.
        name: Its name, for people.
        baseline: True if the others are compared with it.
        share: Share of the units that it should get, from ``allocationPercent``; only ratios matter, so 50 and 0.5
            are both fine. None if unknown.
        exposed: Units exposed to it so far (LaunchDarkly's ``traffic``). None if unknown: then the split is not
            tested.
    """

    id: str
    name: str
    baseline: bool = False
    share: float | None = None
    exposed: int | None = None


class Measurement(NamedTuple):
    """One metric in one treatment.

    Attributes:
        treatment_id: The treatment.
        units: Units measured.
        mean: Mean over the units, or any estimate that stands in its place (adjusted by a covariate, a ratio of means);
            None while there is none.
        std_dev: Standard deviation per unit, which is the estimate's standard error times the root of `units`; None
            while there is none.
        p_best: The platform's probability that this treatment is the best, if it gives one.
    """

    treatment_id: str
    units: int
    mean: float | None
    std_dev: float | None
    p_best: float | None = None


class MetricEvidence(NamedTuple):
    """One metric in all treatments.

    Attributes:
        key: The metric's key; for a metric group, the key that the policy names, measured by the group's last metric.
        measurements: One for each treatment; a treatment may be missing while it has no data.
        direction: From LaunchDarkly's ``successCriteria``; None if unknown.
    """

    key: str
    measurements: tuple[Measurement, ...]
    direction: Direction | None = None

    def of(self, treatment_id: str) -> Measurement | None:
        """Return the measurement of a treatment if it has a mean and a standard deviation."""
        for measured in self.measurements:
            if measured.treatment_id == treatment_id:
                usable = measured.units > 0 and measured.mean is not None and measured.std_dev is not None
                return measured if usable else None
        return None

    @property
    def units(self) -> int:
        """Units measured, over all treatments."""
        return sum(measured.units for measured in self.measurements)


class EarlierLook(NamedTuple):
    """The measurements of an earlier look of the same iteration. The boundaries of later looks rest on it.

    Attributes:
        elapsed: Time of the look, after the iteration's start.
        metrics: The metrics it measured; only their units, means and deviations count.
    """

    elapsed: timedelta
    metrics: tuple[MetricEvidence, ...]

    def metric(self, key: str) -> MetricEvidence | None:
        """Return a metric; None if the look did not measure it."""
        return next((metric for metric in self.metrics if metric.key == key), None)


class Standing(NamedTuple):
    """A crossing of the ship boundary at an earlier look of the same iteration.

    Attributes:
        treatment_id: The treatment that crossed.
        look: Number of the look, from 1.
        metric: Key of the primary metric.
        policy: Fingerprint of the policy (:func:`.standing.fingerprint`).
    """

    treatment_id: str
    look: int
    metric: str
    policy: str


class Spent(NamedTuple):
    """The error that earlier policies have spent on the same iteration.

    Attributes:
        ship: One-sided family-wise error of shipping.
        harm: One-sided family-wise error of rolling back.
        until: Time of the latest look by an earlier policy, after the iteration's start.
        changes: Each setting that changed, as `max_duration from 28d to 42d`.
    """

    ship: float
    harm: float
    until: timedelta
    changes: tuple[str, ...] = ()


class Coverage(NamedTuple):
    """A source's facts about its rows, beside the numbers that are judged.

    Attributes:
        crossovers: Units that were left out since they saw several treatments; None if they were not counted.
        without_events: Measured units without an event of the metric, by the metric's key.
        last_event: Time of the last event of any metric; None if there is none, or it is not known.
        last_batch: Time of the last row that was read, an exposure or an event; None if it is not known.
        lateness: Time from then to the look: how far the data are behind.
    """

    crossovers: int | None = None
    without_events: Mapping[str, int] = MappingProxyType({})
    last_event: datetime | None = None
    last_batch: datetime | None = None
    lateness: timedelta | None = None


class ReleaseEvidence(NamedTuple):
    """A release of LaunchDarkly's that guards the experiment, as it was at the look.

    Attributes:
        flag: Key of its flag.
        release_id: Its id.
        status: Its status, in LaunchDarkly's words.
        metrics: The state of each metric, by key: LaunchDarkly's words, ``no_data`` where it has none.
    """

    flag: str
    release_id: str
    status: str
    metrics: Mapping[str, str]


class Taken(NamedTuple):
    """When a look that waits for its data was taken. Its planned time is :attr:`Evidence.elapsed`.

    Attributes:
        at: Time at which it was taken, after the iteration's start.
        arrived: Time up to which data had arrived, after the iteration's start; None if they were not known to have
            arrived by the deadline.
        left_out: Numbers of the looks before it that were left out, because their data came no earlier.
    """

    at: timedelta
    arrived: timedelta | None
    left_out: tuple[int, ...] = ()


class Evidence(NamedTuple):
    """Everything a verdict rests on.

    Attributes:
        elapsed: Time since the iteration's start, by LaunchDarkly's clock.
        treatments: All treatments of the iteration, exactly one of them the baseline.
        metrics: The measured metrics.
        primary_metric: Key of the experiment's own primary metric, for a policy that names none.
        started_at: When the iteration started; only needed for looks at cron times.
        probability_of_mismatch: LaunchDarkly's own probability of a sample ratio mismatch, shown beside ours.
        unchanged_for: Time since the counts last changed; None if unknown.
        cautions: A sentence for each thing that limits what the source's numbers mean; they go into the verdict.
        earlier: The earlier looks of this iteration as far as they are known, rising in time. They change no number of
            this look, only the boundaries that it is compared with.
        only_harm: True for a look between two planned ones: it judges harm alone, and needs only some of the metrics.
        standing: A crossing of the boundary at an earlier look of this iteration, which stands; None if there is none.
        spent: The error that earlier policies have spent on this iteration; None if there was only this one.
        repeats: Number of earlier iterations of the experiment that asked the same question.
        taken: When the look was taken, if the policy's looks wait for their data.
        coverage: What the source knows of its rows beside the numbers; None if it knows nothing.
        releases: The releases that guard the experiment and ran since it began to run, in whatever stage, newest first
            for each flag.
    """

    elapsed: timedelta
    treatments: tuple[TreatmentEvidence, ...]
    metrics: tuple[MetricEvidence, ...]
    primary_metric: str | None = None
    started_at: datetime | None = None
    probability_of_mismatch: float | None = None
    unchanged_for: timedelta | None = None
    cautions: tuple[str, ...] = ()
    earlier: tuple[EarlierLook, ...] = ()
    only_harm: bool = False
    standing: Standing | None = None
    spent: Spent | None = None
    repeats: int = 0
    taken: Taken | None = None
    coverage: Coverage | None = None
    releases: tuple[ReleaseEvidence, ...] = ()

    @property
    def baseline(self) -> TreatmentEvidence:
        """The treatment that the others are compared with."""
        return next(treatment for treatment in self.treatments if treatment.baseline)

    @property
    def challengers(self) -> tuple[TreatmentEvidence, ...]:
        """The treatments that are compared with the baseline."""
        return tuple(treatment for treatment in self.treatments if not treatment.baseline)

    def metric(self, key: str) -> MetricEvidence:
        """Return the measured metric with this key.

        Raises:
            EvidenceError: No metric has it.
        """
        for metric in self.metrics:
            if metric.key == key:
                return metric
        known = ", ".join(metric.key for metric in self.metrics) or "none"
        raise EvidenceError(f"the policy judges metric {key!r}, but the evidence has {known}")


def as_earlier(evidence: Evidence) -> EarlierLook:
    """Return what later looks need to know of this one: seven digits of each number are enough for that."""
    return EarlierLook(
        evidence.elapsed,
        tuple(
            MetricEvidence(
                metric.key,
                tuple(
                    Measurement(
                        measured.treatment_id, measured.units, _rounded(measured.mean), _rounded(measured.std_dev)
                    )
                    for measured in metric.measurements
                ),
            )
            for metric in evidence.metrics
        ),
    )


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.7g}")


def check(evidence: Evidence) -> None:
    """Raise if the evidence cannot be true.

    Raises:
        EvidenceError: The message names the metric and the treatment, and what is wrong.
    """
    baselines = sum(treatment.baseline for treatment in evidence.treatments)
    if baselines != 1 or len(evidence.treatments) < 2:
        raise EvidenceError(
            f"the evidence has {len(evidence.treatments)} treatments, {baselines} of them baseline; give exactly one "
            "baseline and at least one other treatment"
        )
    ids = [treatment.id for treatment in evidence.treatments]
    if len(set(ids)) != len(ids):
        raise EvidenceError(f"treatment ids {ids} are not distinct; give each treatment a different id")
    for treatment in evidence.treatments:
        if treatment.share is not None and not (math.isfinite(treatment.share) and treatment.share >= 0):
            raise EvidenceError(
                f"treatment {treatment.name}: share is {treatment.share}; give a number from 0 up, or None if it is "
                "unknown"
            )
        if treatment.exposed is not None and treatment.exposed < 0:
            raise EvidenceError(
                f"treatment {treatment.name}: {treatment.exposed} exposed units; give a count from 0 up, or None if it "
                "is unknown"
            )
    shares = [treatment.share for treatment in evidence.treatments]
    if all(share == 0 for share in shares):
        names = ", ".join(treatment.name for treatment in evidence.treatments)
        raise EvidenceError(
            f"the shares of {names} are all 0, so the split cannot be tested; give each its share of the units, "
            "or None if it is unknown"
        )
    _check_metrics(evidence.metrics, ids, "")
    _check_earlier(evidence, ids)


def _check_earlier(evidence: Evidence, ids: list[str]) -> None:
    times = [*(look.elapsed for look in evidence.earlier), evidence.elapsed]
    for before, after in pairwise(times):
        if before >= after:
            raise EvidenceError(
                f"earlier: a look at {before} stands before one at {after}; give the earlier looks in rising order, "
                "all of them before this one"
            )
    for look in evidence.earlier:
        _check_metrics(look.metrics, ids, f"earlier look at {look.elapsed}, ")


def _check_metrics(metrics: tuple[MetricEvidence, ...], ids: list[str], where: str) -> None:
    keys = [metric.key for metric in metrics]
    if len(set(keys)) != len(keys):
        raise EvidenceError(f"{where}metrics {keys} are not distinct; give each metric once")
    for metric in metrics:
        _check_treatments(metric, ids, where)
        for measured in metric.measurements:
            _check_measurement(f"{where}metric {metric.key}, treatment {measured.treatment_id}", measured)


def _check_treatments(metric: MetricEvidence, ids: list[str], where: str) -> None:
    measured = [measurement.treatment_id for measurement in metric.measurements]
    for treatment in measured:
        found = [measurement for measurement in metric.measurements if measurement.treatment_id == treatment]
        if len(found) > 1:
            values = " and ".join(f"mean {each.mean} of {each.units} units" for each in found)
            raise EvidenceError(
                f"{where}metric {metric.key}, treatment {treatment}: measured {len(found)} times, with {values}; give "
                "one measurement for each treatment"
            )
        if treatment not in ids:
            raise EvidenceError(
                f"{where}metric {metric.key}, treatment {treatment}: no treatment of the evidence has this id; it has "
                f"{', '.join(ids)}"
            )


def _check_measurement(where: str, measured: Measurement) -> None:
    if measured.units < 0:
        raise EvidenceError(f"{where}: {measured.units} units; give a count from 0 up")
    for name in ("mean", "std_dev", "p_best"):
        value = getattr(measured, name)
        if value is not None and not math.isfinite(value):
            raise EvidenceError(f"{where}: {name} is {value}; give a finite number, or None if there is none")
        if value is not None and abs(value) > LARGEST:
            raise EvidenceError(f"{where}: {name} is {value}, beyond {LARGEST:g}; give the metric in a larger unit")
    if measured.std_dev is not None and measured.std_dev < 0:
        raise EvidenceError(f"{where}: std_dev is {measured.std_dev}; give a number from 0 up")
