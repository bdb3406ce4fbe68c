"""The reading model: one experiment as people see it, in a line or as a whole. Plain values, no I/O.

Instants are aware; whoever draws them chooses the zone. Shares are percentages, 0 to 100; lifts are shares of the
baseline's mean, so 0.08 is +8 %. Numbers are finite, or None where there is none. Stages and looks count from one.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.views.coverage import Coverage
    from airflow_provider_launchdarkly.views.handed_over import HandedOver
    from airflow_provider_launchdarkly.views.release_model import ReleaseShown
    from airflow_provider_launchdarkly.views.served_model import Served
    from airflow_provider_launchdarkly.views.unwatched import Unwatched


class State(StrEnum):
    """The state of an experiment, a closed set. Exactly one holds."""

    STARTING = "starting"
    """No iteration of the run has started yet, and nobody is asked."""

    WAITING = "waiting"
    """Airflow waits for data, for the next look, or for the end of a stage."""

    NEEDS_YOU = "needs_you"
    """A person is asked, or has to make a change in LaunchDarkly."""

    AWAITING_WINDOW = "awaiting_window"
    """The change window is closed."""

    WORKING = "working"
    """Tasks are under way; within minutes it is one of the others."""

    OVERDUE = "overdue"
    """Airflow waits for a look, the end of a stage or a change window whose time is over, and does not act."""

    UNWATCHED = "unwatched"
    """People are served something new, and Airflow no longer watches it."""

    SHIPPED = "shipped"
    """Everyone gets the winner."""

    ROLLED_BACK = "rolled_back"
    """Something was harmed; everyone is back on the baseline."""

    REGRESSED = "regressed"
    """The release of the winner went back; everyone is back on the baseline."""

    INCONCLUSIVE = "inconclusive"
    """The plan ended without a winner; everyone is back on the baseline."""

    REFUSED = "refused"
    """A person refused what came next, or did not answer in time."""

    INVALID = "invalid"
    """The data cannot be trusted. Nothing was changed, and a person has to look."""

    STOPPED = "stopped"
    """A task stopped it on a winner that someone named."""

    @property
    def finished(self) -> bool:
        """True if Airflow is done with it as it should be: nobody has to act."""
        return self in {State.SHIPPED, State.ROLLED_BACK, State.REGRESSED, State.INCONCLUSIVE, State.STOPPED}

    @property
    def needs_people(self) -> bool:
        """True if nothing happens, or nobody watches, until a person acts."""
        return self in {State.NEEDS_YOU, State.OVERDUE, State.UNWATCHED, State.INVALID, State.REFUSED}


class Progress(StrEnum):
    """How far a stage is."""

    DONE = "done"
    NOW = "now"
    NEXT = "next"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Share:
    """The part of the people that gets one treatment.

    Attributes:
        treatment: Its name.
        percent: 0 to 100.
        baseline: True for what people had before.
    """

    treatment: str
    percent: float
    baseline: bool = False


@dataclass(frozen=True, slots=True)
class Stage:
    """One step of the ladder.

    Attributes:
        number: From 1.
        name: Its author's name for it, or ``10 %``.
        shares: Its allocation, in the treatments' order.
        progress: How far it is.
        gate: ``guardrails``, ``decision`` or ``none``; ``release`` for the winner's release; None where not known.
        days: Its longest time; None where it is not known.
        asks: Whether a person is asked before it starts.
        notes: Its author's notes.
        started_at: When its iteration started.
    """

    number: int
    name: str
    shares: tuple[Share, ...] = ()
    progress: Progress = Progress.NEXT
    gate: str | None = None
    days: float | None = None
    asks: bool = False
    notes: str | None = None
    started_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One treatment against the baseline on one metric, at one look.

    Attributes:
        treatment: Its name.
        units: Its units.
        baseline_units: The baseline's.
        lift: Difference as a share of the baseline's mean.
        lower: Lower end of the lift's interval, which holds over all looks.
        upper: Upper end.
        level: Confidence level of the interval, two-sided: 0.9 is 90 %.
        z: The evidence that it is better, in standard errors; negative where it is worse, whatever the direction.
        boundary: z at which it ships; None where nothing can ship at this look, or the metric ships nothing.
        harm_z: The evidence of harm, with the margin counted; None where harm is not judged.
        harm_boundary: `harm_z` at which it is rolled back.
        better: True beyond `boundary`.
        harmed: True beyond `harm_boundary`.
        chance: Probability to reach the boundary by the plan's end, given what was measured; None where unknown.
        worth: Best estimate of the lift once it has stopped at a good moment; None before.
    """

    treatment: str
    units: int
    baseline_units: int
    lift: float | None = None
    lower: float | None = None
    upper: float | None = None
    level: float | None = None
    z: float | None = None
    boundary: float | None = None
    harm_z: float | None = None
    harm_boundary: float | None = None
    better: bool = False
    harmed: bool = False
    chance: float | None = None
    worth: float | None = None


@dataclass(frozen=True, slots=True)
class MetricAtLook:
    """One metric at one look.

    Attributes:
        metric: Its key.
        role: ``primary``, ``guardrail`` or ``signal``.
        direction: ``higher`` or ``lower`` is better.
        margin: Share of the baseline's mean that may be lost: 0.05 is 5 %.
        comparisons: One for each treatment but the baseline.
    """

    metric: str
    role: str
    direction: str
    margin: float = 0.0
    comparisons: tuple[Comparison, ...] = ()

    @property
    def harmed(self) -> bool:
        """True if a treatment is harmed on it."""
        return any(compared.harmed for compared in self.comparisons)


@dataclass(frozen=True, slots=True)
class SplitTest:
    """The split of people, beside the allocation.

    Attributes:
        treatments: Names of the treatments.
        units: Units of each.
        shares: Shares that they should have, percent.
        p_value: Holds at any number of looks.
        alpha: Below it, the split is taken for wrong.
        mismatch: True if the split is wrong.
    """

    treatments: tuple[str, ...]
    units: tuple[int, ...]
    shares: tuple[float, ...]
    p_value: float
    alpha: float
    mismatch: bool


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the results.

    Attributes:
        number: Of the plan, from 1; 0 before the first planned one.
        of: Looks in the plan.
        at: When it was taken; None where it is not known.
        elapsed_days: Time since the iteration's start, of the data.
        verdict: ``wait``, ``ship``, ``rollback``, ``inconclusive`` or ``invalid``.
        reason: The verdict's reason.
        summary: One line for people.
        stage: The stage whose iteration was looked at, from 1.
        iteration_id: The iteration.
        units: Units on the primary metric, over all treatments.
        metrics: The primary metric first.
        split: The test of the split; None where exposures are unknown.
        only_harm: True for a look between two planned ones, which judges harm alone.
        cautions: Sentences that limit what the verdict means.
        coverage: What the look's source knows of its rows: whom they leave out, how new they are; None if nothing.
    """

    number: int
    of: int
    at: datetime | None
    elapsed_days: float
    verdict: str
    reason: str
    summary: str
    stage: int = 1
    iteration_id: str = ""
    units: int | None = None
    metrics: tuple[MetricAtLook, ...] = ()
    split: SplitTest | None = None
    only_harm: bool = False
    cautions: tuple[str, ...] = ()
    coverage: Coverage | None = None

    @property
    def primary(self) -> MetricAtLook | None:
        """The metric that decides; None where the look judged none."""
        return next((metric for metric in self.metrics if metric.role == "primary"), None)


@dataclass(frozen=True, slots=True)
class PlannedLook:
    """A look of the current stage's plan, taken or not, with the boundaries that the plan alone gives it.

    Attributes:
        number: From 1.
        elapsed_days: Time since the iteration's start.
        at: Its instant; None where the start is not known.
        boundary: z at which a treatment ships; None where nothing ships yet.
        harm_boundary: z at which one is rolled back.
    """

    number: int
    elapsed_days: float
    at: datetime | None = None
    boundary: float | None = None
    harm_boundary: float | None = None


@dataclass(frozen=True, slots=True)
class HarmWatch:
    """The guard of people from harm.

    Attributes:
        metrics: The metrics that are watched.
        every_days: Time between two looks for harm; None if only the planned looks judge it.
        harmed: Each harm as ``metric: treatment``, worst first; empty while nothing is harmed.
        latest_at: When harm was last judged; None if it was not yet.
    """

    metrics: tuple[str, ...] = ()
    every_days: float | None = None
    harmed: tuple[str, ...] = ()
    latest_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """A question that a person has not answered yet.

    Attributes:
        subject: The question.
        asked_at: When it was asked.
        until: Until when an answer counts; None for no limit.
        people: The Airflow users who may answer; empty for everyone with access.
        options: The answers.
        otherwise: The answer that counts when nobody gives one.
    """

    subject: str
    asked_at: datetime | None = None
    until: datetime | None = None
    people: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    otherwise: str | None = None


@dataclass(frozen=True, slots=True)
class Happening:
    """One entry of the timeline.

    Attributes:
        at: When.
        what: What happened, in a few words.
        who: The person who did it; None for Airflow.
        task_id: The task that did it; None if there is none.
        ahead: True for what is still to come.
    """

    at: datetime | None
    what: str
    who: str | None = None
    task_id: str | None = None
    ahead: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """The decision record.

    Attributes:
        entries: How many it has.
        head: The hash of its newest entry.
        path: Where it is; None if none is kept in a folder.
        whole: Whether its chain was checked and holds; None if it was not checked.
        trouble: What is wrong with it; None if nothing is.
        checked_at: When a task checked its chain, as it wrote the newest entry; None if it was checked for this view.
    """

    entries: int
    head: str
    path: str | None = None
    whole: bool | None = None
    trouble: str | None = None
    checked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Links:
    """Addresses to go on from here. In Airflow's pages they are relative to its root; None where there is none.

    Attributes:
        run: The DAG run.
        task: The task that acts or waits now.
        launchdarkly: The experiment in LaunchDarkly.
        experiment: The page of this one experiment.
    """

    run: str | None = None
    task: str | None = None
    launchdarkly: str | None = None
    experiment: str | None = None


NOWHERE = Links()


@dataclass(frozen=True, slots=True)
class ExperimentSummary:
    """One experiment in a line.

    Attributes:
        project: Key of the project.
        environment: Key of the environment.
        key: Key of the experiment.
        name: Its name for people.
        flag: Key of the flag.
        dag_id: The DAG that runs it.
        run_id: The run.
        owner: The DAG's owners.
        tags: The DAG's tags.
        state: Where it stands.
        headline: What comes next and when, or how it ended, in a sentence without instants; they are beside it.
        stages: The ladder.
        stage: The current stage, from 1; None where there is none.
        shares: Who gets what, as `served` knows it; empty where it is not known.
        look: The newest look; None before the first. In a list it has its metrics, so that z can be drawn.
        looks: How many looks the current stage plans; None where it is not known.
        next_look: When the next look is.
        next_step: When something else happens next: the stage ends at the latest, or the change window opens.
        question: The open question.
        unwatched: Set in the state of that name, and in `overdue`.
        harm: Who guards people from harm; None where nobody does.
        drift: What the newest poll, or look, found in LaunchDarkly to differ from the rollout, a sentence each: the
            iteration, its flag, or who gets what. Empty where nothing is known to; `plan` compares the rest.
        since: When the state began.
        updated_at: How old this knowledge is: when its newest part was written.
        links: Addresses.
        release: The release of its flag that is under way, or whose wait failed; None where none is known. One with a
            `winner` ships the experiment's own: it is what runs now, in the place of a stage.
        handed_over: What a person has to do in LaunchDarkly, or did not do in time; None if nothing was handed over.
        served: How it is known who gets what, and since when; None where it is not known.
    """

    project: str
    environment: str
    key: str
    dag_id: str
    run_id: str
    state: State
    headline: str
    name: str = ""
    flag: str | None = None
    owner: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    stages: tuple[Stage, ...] = ()
    stage: int | None = None
    shares: tuple[Share, ...] = ()
    look: Look | None = None
    looks: int | None = None
    next_look: datetime | None = None
    next_step: datetime | None = None
    question: Question | None = None
    unwatched: Unwatched | None = None
    harm: HarmWatch | None = None
    drift: tuple[str, ...] = ()
    since: datetime | None = None
    updated_at: datetime | None = None
    links: Links = NOWHERE
    release: ReleaseShown | None = None
    handed_over: HandedOver | None = None
    served: Served | None = None


@dataclass(frozen=True, slots=True)
class ExperimentDetail:
    """One experiment as a whole.

    Attributes:
        summary: The same in a line.
        hypothesis: Its hypothesis.
        looks: Every known look, oldest first, over all stages.
        planned: The looks of the current stage's plan, for the boundaries ahead.
        split: The newest test of the split.
        why: Why it stands where it stands, in a sentence.
        to_come: What would have to happen for each ending, a sentence each.
        policy: How it is decided, a sentence each.
        timeline: What happened, oldest first, and what is to come.
        record: The decision record; None where there is none.
        cautions: Sentences that limit what the numbers mean.
    """

    summary: ExperimentSummary
    hypothesis: str = ""
    looks: tuple[Look, ...] = ()
    planned: tuple[PlannedLook, ...] = ()
    split: SplitTest | None = None
    why: str = ""
    to_come: tuple[str, ...] = ()
    policy: tuple[str, ...] = ()
    timeline: tuple[Happening, ...] = ()
    record: Record | None = None
    cautions: tuple[str, ...] = ()


def to_json(value: Any) -> Any:
    """Return a part of the model as plain JSON: instants in ISO 8601, names of states as text."""
    match value:
        case Enum():
            return value.value
        case datetime():
            return value.isoformat()
        case tuple() | list():
            return [to_json(part) for part in value]
        case _ if is_dataclass(value):
            return {field.name: to_json(getattr(value, field.name)) for field in fields(value)}
        case _:
            return value
