"""What is looked at and when: what every source of evidence starts from. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.api.http.procedure import Procedure
from airflow_provider_launchdarkly.decision.evidence import Evidence, TreatmentEvidence
from airflow_provider_launchdarkly.decision.policy import Policy

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Iteration


@dataclass(frozen=True, slots=True)
class Target:
    """What is looked at.

    Attributes:
        environment: Project and environment.
        experiment_key: The experiment.
        iteration_id: The pinned iteration: another one under way is never judged in its place.
    """

    environment: EnvironmentRef
    experiment_key: str
    iteration_id: str

    def to_json(self) -> dict[str, str]:
        """The four keys that name it."""
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
        target: What is looked at.
        iteration: It, as LaunchDarkly has it now, with its treatments.
        started_at: When it started.
        at: Now, by LaunchDarkly's clock.
    """

    target: Target
    iteration: Iteration
    started_at: datetime
    at: datetime

    @property
    def elapsed(self) -> timedelta:
        """Time since the iteration's start, by LaunchDarkly's clock.

        A Date header has no fractions of a second. Without those of the start, a look at exactly one day is on time.
        """
        return self.at - self.started_at.replace(microsecond=0)

    def primary_metric(self, policy: Policy) -> str:
        """Key of the metric or group that decides: the policy's, else the iteration's own.

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

    def treatments(self, exposed: Mapping[str, int]) -> tuple[TreatmentEvidence, ...]:
        """The iteration's treatments.

        Args:
            exposed: Units exposed to each, by treatment id; who is not there has none.
        """
        return tuple(
            TreatmentEvidence(
                id=treatment.id,
                name=treatment.name,
                baseline=treatment.baseline,
                share=None if treatment.allocation_percent is None else float(treatment.allocation_percent),
                exposed=exposed.get(treatment.id, 0),
            )
            for treatment in self.iteration.treatments
        )

    def unchanged_since(self, latest: datetime | None) -> timedelta | None:
        """How long the counts have stood still.

        Args:
            latest: When the latest event of the primary metric happened, aware; None where unknown.
        """
        if latest is None:
            return None
        # An event from before the start is another iteration's: this one has stood still since it began.
        return max(self.at - max(latest, self.started_at), self.at - self.at)


Source: TypeAlias = Callable[[LookContext, Policy], Procedure[Evidence]]
"""Where evidence comes from: what to do, on an occasion to look, to get what the policy judges."""
