"""The context of a look: target, iteration and time, which every source of evidence gets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.http.procedure import Procedure
from airflow_provider_launchdarkly.decision.evidence import Evidence, Taken, TreatmentEvidence
from airflow_provider_launchdarkly.decision.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Iteration, Metric


AS_IT_IS_NOW = (
    "the numbers are those of the moment at which the look was taken, since their source cannot leave out what came "
    "after the look's planned time; the boundary is that of the planned look"
)
"""The refusal, by a source that only knows the present, of a look that waited for its data."""


@dataclass(frozen=True, slots=True)
class Target:
    """The iteration to judge.

    Attributes:
        environment: Project and environment.
        experiment_key: The experiment.
        iteration_id: The iteration; another one that runs is never judged in its place.
    """

    environment: EnvironmentRef
    experiment_key: str
    iteration_id: str

    def to_json(self) -> dict[str, str]:
        """Return the four keys that name the iteration."""
        project_key, environment_key = self.environment
        return {
            "project_key": project_key,
            "environment_key": environment_key,
            "experiment_key": self.experiment_key,
            "iteration_id": self.iteration_id,
        }


@dataclass(frozen=True, slots=True)
class LookContext:
    """A look that is due.

    Attributes:
        target: The iteration to judge.
        iteration: The iteration as just read, with its treatments.
        started_at: Start of the iteration.
        at: Time of the look, by LaunchDarkly's clock. No later row counts.
        harm_of: Keys of the metrics to look at for harm alone, between two planned looks; none if releases alone are
            looked at; None at a planned look. A source may read others, too.
        definitions: The metrics' definitions that the same process has read, by key; a source adds to them. They save
            requests in looks for harm.
        burn_in: Units first exposed within this time after the start do not count.
        maturity: Units first exposed within this time before the look do not count.
        repeats: Number of earlier iterations of the experiment that asked the same question.
        unbroken_since: When the experiment began to run without a break until this look, its earlier stages included;
            None for the iteration's start. Releases count from then on.
        taken: When a look that waited for its data is taken; None for a look that is taken at its time. A source that
            cannot leave out what came after `at` then says so in a caution (:data:`AS_IT_IS_NOW`).
    """

    target: Target
    iteration: Iteration
    started_at: datetime
    at: datetime
    harm_of: tuple[str, ...] | None = None
    definitions: dict[str, Metric] = field(default_factory=dict, compare=False)
    repeats: int = 0
    burn_in: timedelta = timedelta()
    maturity: timedelta = timedelta()
    taken: Taken | None = None
    unbroken_since: datetime | None = None

    def as_of(self, planned: timedelta, taken: Taken) -> LookContext:
        """Return the look that was planned at a time after the iteration's start, and is taken later."""
        return replace(self, at=self._start + planned, taken=taken)

    @property
    def only_harm(self) -> bool:
        """True between two planned looks, where harm is all that is looked at."""
        return self.harm_of is not None

    @property
    def now(self) -> datetime:
        """Time at which the look is taken, by LaunchDarkly's clock."""
        return self.at if self.taken is None else self._start + self.taken.at

    @property
    def exposed_after(self) -> datetime:
        """Only units that were first exposed from then on count."""
        return self.started_at + self.burn_in

    @property
    def exposed_before(self) -> datetime:
        """Only units that were first exposed until then count."""
        return self.at - self.maturity

    @property
    def elapsed(self) -> timedelta:
        """Time since the iteration's start, by LaunchDarkly's clock.

        A Date header has no fractions of a second, so those of the start are dropped: a look at exactly one day is due.
        """
        return self.at - self._start

    def after_start(self, moment: datetime) -> timedelta:
        """Return a moment as time since the iteration's start."""
        return moment - self._start

    @property
    def _start(self) -> datetime:
        return self.started_at.replace(microsecond=0)

    def primary_metric(self, policy: Policy) -> str:
        """Return the key of the metric or group that decides: the policy's, else the iteration's.

        Raises:
            StateError: Neither names one.
        """
        own = self.iteration.primary
        key = policy.primary.metric or (own.key if own else None)
        if key is None:
            raise StateError(
                f"iteration {self.iteration.id!r} of experiment {self.target.experiment_key!r} has no primary metric; "
                "name one in the policy"
            )
        return key

    def treatments(self, exposed: Mapping[str, int] | None) -> tuple[TreatmentEvidence, ...]:
        """Return the iteration's treatments with their exposed units.

        Args:
            exposed: Units exposed to each, by treatment id; treatments missing from the mapping count 0. None if they
                were not counted.
        """
        return tuple(
            TreatmentEvidence(
                id=treatment.id,
                name=treatment.name,
                baseline=treatment.baseline,
                share=None if treatment.allocation_percent is None else float(treatment.allocation_percent),
                exposed=None if exposed is None else exposed.get(treatment.id, 0),
            )
            for treatment in self.iteration.treatments
        )

    def unchanged_since(self, latest: datetime | None) -> timedelta | None:
        """Return the time for which the counts have not changed; None where unknown.

        Args:
            latest: Time of the latest event of the primary metric, aware; None where unknown.
        """
        if latest is None:
            return None
        # An event from before the start belongs to another iteration: this one has had none since it began.
        return max(self.at - max(latest, self.started_at), self.at - self.at)


Source: TypeAlias = Callable[[LookContext, Policy], Procedure[Evidence]]
"""A source of evidence: the procedure that gets the evidence of a look for a policy."""
