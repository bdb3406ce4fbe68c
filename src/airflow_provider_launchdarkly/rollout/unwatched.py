"""The state when a rollout has stopped watching: which iteration runs, who gets what, and what to do. Pure words.

What LaunchDarkly shows decides. While it cannot be read, it rests on what the rollout's own tasks returned, and says
so.
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
RUN_ANEW = "To measure again, run the rollout anew."
_ENDED = "Nothing by itself: the experiment has ended, and the rollout has not come to its ending."
_OTHER_RUNS = "Nothing by itself: another iteration runs on, and Airflow watches neither its guardrails nor its split."


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
class Seen:
    """What LaunchDarkly shows when nobody watches.

    Attributes:
        text: What was read, or why nothing could be, as a sentence.
        served: Who gets what, as it was read; None if it was not.
        ended: True if the rollout's iteration has ended.
        winner: Id of the treatment with which it has ended.
        other: Id of the iteration that runs in its place; None if none does.
        release: The release for which it has ended; None if there is none.
    """

    text: str
    served: str | None = None
    ended: bool = False
    winner: str | None = None
    other: str | None = None
    release: ReleaseLeft | None = None


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
        iteration_id: The iteration that the rollout started last; None if it has started none.
        stage: The stage's number, from 1; None if none of the rollout's iterations runs.
        stage_name: The stage's name.
        serves: Percent by treatment in the stage; None if none of the rollout's iterations runs.
        url: The experiment in LaunchDarkly.
        release_id: The release of the winner; None if there is none.
        served: Who gets what, as LaunchDarkly showed it, in words; None if it was not read.
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
    served: str | None = None

    @property
    def iteration_ended(self) -> bool:
        """True if the iteration has ended that the rollout started last."""
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
    seen: Seen | None = None,
    url: str | None = None,
) -> Unwatched:
    """Put into words what goes on without being watched.

    Args:
        rollout: The rollout.
        why: Why nobody watches it, as a sentence.
        experiment_key: The experiment.
        again: What to click in Airflow to go on, as a sentence.
        number: Number of the stage that runs, from 0; None if the rollout has started none.
        iteration_id: The iteration that was started last; None if the rollout has started none.
        project_key: Key of the project.
        environment_key: Key of the environment.
        seen: What LaunchDarkly shows now; None if it was not asked.
        url: The experiment in LaunchDarkly.
    """
    text = "" if seen is None else seen.text
    served = None if seen is None else seen.served
    place = f": {url}" if url else "."
    common: dict[str, Any] = {
        "project_key": project_key,
        "environment_key": environment_key,
        "iteration_id": iteration_id,
        "url": url,
        "served": served,
    }
    if seen is not None and (release := seen.release) is not None:
        stop = (f"Or stop the release of flag {release.flag_key} in LaunchDarkly.",) if release.going else ()
        follows = RELEASE_GOES_ON if release.going else _ENDED
        now = f"{_released(rollout, release)} {text}"
        return Unwatched(experiment_key, why, now, (again, *stop), follows, **common, release_id=release.release_id)
    if number is None or iteration_id is None:
        now = f"This rollout has started no iteration: people get what the flag serves without it. {text}".strip()
        return Unwatched(experiment_key, why, now, (again,), **{**common, "iteration_id": None})
    if seen is not None and seen.ended:
        now = f"{text} People get now: {served or 'what the flag serves'}."
        decide = f"Decide in LaunchDarkly what everyone is to be served{place}"
        follows = _ENDED if seen.other is None else _OTHER_RUNS
        return Unwatched(experiment_key, why, now, (again, decide), follows, **common)
    treatments = zip(rollout.experiment.treatments, rollout.shares(rollout.stages[number]), strict=True)
    shares = f"{served}, in {stage_name(rollout, number)}" if served else served_in(rollout, number)
    return Unwatched(
        experiment_key,
        why,
        f"Iteration {iteration_id}: {shares}. No guardrail is watched. {text}".strip(),
        (again, f"Or stop the experiment in LaunchDarkly{place}"),
        EXPERIMENT_RUNS_ON,
        **common,
        stage=number + 1,
        stage_name=stage_name(rollout, number),
        serves={treatment.label: float(share) for treatment, share in treatments},
    )


def _released(rollout: Rollout, release: ReleaseLeft) -> str:
    """Return who gets what after an experiment that ended for a release, as sentences."""
    ended = f"The experiment has ended on {rollout.experiment.baseline.label} for a release of {release.treatment}."
    if release.release_id is None:
        return f"{ended} There is no such release: people get what the flag serves."
    if release.going:
        return f"{ended} Release {release.release_id}: {served_while_released(rollout, release.treatment)}."
    return f"{ended} Release {release.release_id} does not go on: people get what the flag serves."
