"""The state when a rollout has stopped watching: which iteration runs, who gets what, and what to do. Pure words.

It rests on what the rollout's own tasks returned, so it can be told while LaunchDarkly cannot be read.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.rollout.serving import served_in, served_while_released, stage_name

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.rollout.spec import Rollout

EXPERIMENT_RUNS_ON = "Nothing by itself: the experiment runs on, and Airflow watches neither guardrails nor the split."
RELEASE_GOES_ON = (
    "The experiment has ended. LaunchDarkly goes on with the release of its winner, and Airflow does not watch its end."
)
_ENDED = "Nothing by itself: the experiment has ended, and the rollout has not come to its ending."


@dataclass(frozen=True, slots=True)
class ReleaseLeft:
    """The release of a winner whose experiment has ended for it.

    Attributes:
        flag_key: The flag.
        release_id: The release; None if there is none.
        treatment: The winner's name.
        going: True if it goes on, as far as is known.
    """

    flag_key: str
    release_id: str | None
    treatment: str
    going: bool = True


@dataclass(frozen=True, slots=True)
class Unwatched:
    """A rollout that nobody watches any more.

    Attributes:
        experiment_key: The experiment.
        why: Why nobody watches it, as a sentence.
        now: What is known of LaunchDarkly, as a sentence: what runs, and who gets what.
        do: What to do, as sentences.
        follows: What happens without it, as a sentence; empty if nothing runs.
        project_key: Key of the project; None if no task has returned it.
        environment_key: Key of the environment; None if no task has returned it.
        iteration_id: The iteration that runs; None if the rollout has started none.
        stage: The stage's number, from 1; None if the rollout has started none.
        stage_name: The stage's name.
        serves: Percent by treatment; None if the rollout has started none.
        url: The experiment in LaunchDarkly.
        release_id: The release of the winner; None if there is none.
    """

    experiment_key: str
    why: str
    now: str
    do: tuple[str, ...]
    follows: str = ""
    project_key: str | None = None
    environment_key: str | None = None
    iteration_id: str | None = None
    stage: int | None = None
    stage_name: str | None = None
    serves: dict[str, float] | None = None
    url: str | None = None
    release_id: str | None = None

    @property
    def ended_for_release(self) -> bool:
        """True if the experiment has ended for a release of its winner."""
        return self.iteration_id is not None and self.serves is None

    @property
    def text(self) -> str:
        """All of it, for a message or the log."""
        if self.serves is not None:
            head = f"{self.experiment_key} runs on, and nobody watches it"
        elif self.follows == RELEASE_GOES_ON:
            head = f"The release of {self.experiment_key}'s winner goes on, and nobody watches it"
        else:
            head = f"The rollout of {self.experiment_key} has stopped"
        return "\n".join((f"{head}: {self.why}", self.now, *self.do))

    @property
    def last_line(self) -> str:
        """The same in one line."""
        return " ".join(self.text.split("\n"))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain JSON, for XCom and for messages."""
        return {**asdict(self), "do": list(self.do), "text": self.text}


def unwatched(
    rollout: Rollout,
    why: str,
    *,
    experiment_key: str,
    again: str,
    number: int | None = None,
    iteration_id: str | None = None,
    project_key: str | None = None,
    environment_key: str | None = None,
    seen: str | None = None,
    url: str | None = None,
    release: ReleaseLeft | None = None,
) -> Unwatched:
    """Put into words what goes on without being watched.

    Args:
        rollout: The rollout.
        why: Why nobody watches it, as a sentence.
        experiment_key: The experiment.
        again: What to click in Airflow to go on, as a sentence.
        number: Number of the stage that runs, from 0; None if the rollout has started none.
        iteration_id: The iteration that runs; None if the rollout has started none.
        project_key: Key of the project.
        environment_key: Key of the environment.
        seen: What LaunchDarkly shows now, as a sentence; None if it was not asked.
        url: The experiment in LaunchDarkly.
        release: The release for which the experiment has ended; None if it runs, or never has.
    """
    if release is not None:
        now = _released(rollout, release)
        stop = (f"Or stop the release of flag {release.flag_key} in LaunchDarkly.",) if release.going else ()
        return Unwatched(
            experiment_key,
            why,
            now if seen is None else f"{now} {seen}",
            (again, *stop),
            RELEASE_GOES_ON if release.going else _ENDED,
            project_key=project_key,
            environment_key=environment_key,
            iteration_id=iteration_id,
            url=url,
            release_id=release.release_id,
        )
    if number is None or iteration_id is None:
        now = "This rollout has started no iteration: people get what the flag serves without it."
        return Unwatched(
            experiment_key,
            why,
            now if seen is None else f"{now} {seen}",
            (again,),
            project_key=project_key,
            environment_key=environment_key,
            url=url,
        )
    treatments = zip(rollout.experiment.treatments, rollout.shares(rollout.stages[number]), strict=True)
    now = f"Iteration {iteration_id}: {served_in(rollout, number)}. No guardrail is watched."
    place = f": {url}" if url else "."
    return Unwatched(
        experiment_key,
        why,
        now if seen is None else f"{now} {seen}",
        (again, f"Or stop the experiment in LaunchDarkly{place}"),
        EXPERIMENT_RUNS_ON,
        project_key=project_key,
        environment_key=environment_key,
        iteration_id=iteration_id,
        stage=number + 1,
        stage_name=stage_name(rollout, number),
        serves={treatment.label: float(share) for treatment, share in treatments},
        url=url,
    )


def _released(rollout: Rollout, release: ReleaseLeft) -> str:
    """Return who gets what after an experiment that ended for a release, as sentences."""
    ended = f"The experiment has ended on {rollout.experiment.baseline.label} for a release of {release.treatment}."
    if release.release_id is None:
        return f"{ended} There is no such release: people get what the flag serves."
    if release.going:
        return f"{ended} Release {release.release_id}: {served_while_released(rollout, release.treatment)}."
    return f"{ended} Release {release.release_id} does not go on: people get what the flag serves."
