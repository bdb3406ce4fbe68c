"""Every write while somebody else changes the same thing between its read and its write, and every wait of a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ConfigurationError,
    ExperimentArchivedError,
    ExperimentDiffersError,
    FlagOffError,
    IterationStoppedError,
    LaunchDarklyError,
    RuleOwnedError,
    StateError,
    WrongIterationStoppedError,
)
from airflow_provider_launchdarkly.api.http.procedure import APPEARING, SETTLING
from airflow_provider_launchdarkly.api.models import (
    ArchiveExperiment,
    FeatureFlag,
    FlagPost,
    MetricGroupPost,
    MetricPost,
    OtherFlagInstruction,
    TurnFlagOff,
)
from airflow_provider_launchdarkly.testing import EmulatorServer

from .conftest import ENV, FLAG, TOKEN, Connect, Driver, design, experiment

RAMP = ("75", "25")
METRIC = MetricPost(key="m", kind="custom", is_numeric=True, success_criteria="HigherThanBaseline", event_key="e")
OTHER_METRIC = METRIC.model_copy(update={"event_key": "other"})
METRIC_GROUP = {
    "key": "g",
    "name": "G",
    "kind": "standard",
    "metrics": [{"key": key, "nameInGroup": key} for key in ("page-load-ms", "checkout-errors")],
}


@dataclass
class Scene:
    """The emulator with the experiment ``bold``, a client for the writes under test and one for somebody else."""

    driver: Driver
    other: Driver
    emulator: EmulatorServer
    flag: FeatureFlag
    draft: str = ""
    before_write: list[Callable[[], object]] = field(default_factory=list)

    def create(self, **changes: Any) -> None:
        self.draft = self.other.run(writes.create_experiment(ENV, experiment(self.flag, **changes))).iteration.id

    def start(self) -> None:
        """Make ``draft`` run."""
        self.other.run(writes.start_iteration(ENV, "bold", self.draft, turn_flag_on=True))

    def stop(self, winner: str = "Treatment") -> None:
        self.other.run(writes.stop_iteration(ENV, "bold", self.draft, winner=winner, reason="theirs"))

    def patch(self, *instructions: Any) -> None:
        self.other.send(endpoints.patch_experiment(ENV, "bold", instructions))

    def patch_flag(self, *instructions: Any) -> None:
        self.other.send(endpoints.patch_flag(ENV, FLAG, instructions))

    def create_iteration(self, shares: tuple[str, str]) -> None:
        self.other.run(writes.create_iteration(ENV, "bold", design(self.flag, shares=shares)))

    def replace(self, **changes: Any) -> None:
        self.other.run(writes.save_and_start(ENV, "bold", self.draft, writes.field_changes(changes)))

    def group(self, **changes: Any) -> MetricGroupPost:
        maintainer = self.other.send(endpoints.get_caller_identity()).value.member_id
        return MetricGroupPost.checked(METRIC_GROUP | {"maintainerId": maintainer} | changes)


@pytest.fixture
def scene(connect: Connect, emulator: EmulatorServer) -> Iterator[Scene]:
    """Nothing exists yet. What is in ``before_write`` happens just before the first write of ``driver`` goes out."""
    pending: list[Callable[[], object]] = []

    def forward(request: httpx.Request) -> httpx.Response:
        if request.method != "GET" and request.url.path.rpartition("/")[2] != FLAG:
            while pending:
                pending.pop(0)()
        with httpx.Client(verify=False, trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        return httpx.Response(
            response.status_code, content=response.content, headers={"date": response.headers["date"]}
        )

    other = Driver("sync", emulator.url, TOKEN)
    flag = other.send(endpoints.get_flag("demo", FLAG, environments=["production"])).value
    yield Scene(connect(forward, url=emulator.url), other, emulator, flag, before_write=pending)
    other.close()


@dataclass(frozen=True)
class Race:
    """One write, and what somebody else does meanwhile.

    Attributes:
        prepare: Brings the scene where the write makes sense.
        make: The write.
        meanwhile: What somebody else does.
        expected: The error of the write, with a pattern of its message; or what its result must fulfil.
    """

    prepare: Callable[[Scene], object]
    make: Callable[[Scene], Any]
    meanwhile: Callable[[Scene], object]
    expected: tuple[type[LaunchDarklyError], str] | Callable[[Any], bool]


def running(scene: Scene) -> None:
    scene.create()
    scene.start()


def running_with_ids_of_variations(scene: Scene) -> None:
    """LaunchDarkly documents that treatments have the ids of their variations, so those of two iterations are alike."""
    scene.emulator.switch(treatment_ids="variation")
    running(scene)


def refusing_drafts(scene: Scene) -> None:
    """One experiment runs; LaunchDarkly refuses a second draft, which its docs leave open."""
    running(scene)
    scene.emulator.switch(draft_over_draft="refuse")


def in_turn(*actions: Callable[[Scene], object]) -> Callable[[Scene], None]:
    """Do several things, one after the other."""

    def act(scene: Scene) -> None:
        for action in actions:
            action(scene)

    return act


def archive(scene: Scene) -> None:
    scene.patch(ArchiveExperiment())


def stop_what_runs(scene: Scene) -> None:
    running = scene.other.send(endpoints.get_experiment(ENV, "bold")).value.running.id
    scene.other.run(writes.stop_iteration(ENV, "bold", running, winner="baseline", reason="theirs"))


def nothing(_scene: Scene) -> None:
    """Nothing to prepare."""


def start(scene: Scene) -> Any:
    return writes.start_iteration(ENV, "bold", scene.draft, turn_flag_on=True)


def stop(scene: Scene) -> Any:
    return writes.stop_iteration(ENV, "bold", scene.draft, winner="Treatment", reason="ours")


def save(scene: Scene) -> Any:
    return writes.save_and_start(ENV, "bold", scene.draft, writes.field_changes({"hypothesis": "Ours"}))


def ramp(scene: Scene) -> Any:
    return writes.create_iteration(ENV, "bold", design(scene.flag, shares=RAMP))


def create(scene: Scene) -> Any:
    return writes.create_experiment(ENV, experiment(scene.flag))


RACES = {
    "create experiment, created alike": Race(nothing, create, Scene.create, lambda made: made.adopted),
    "create experiment, created otherwise": Race(
        nothing, create, lambda scene: scene.create(name="Theirs"), (ExperimentDiffersError, "name: asked .*'Theirs'")
    ),
    "create iteration, created alike": Race(
        refusing_drafts, ramp, lambda scene: scene.create_iteration(RAMP), lambda made: made.adopted
    ),
    "create iteration, created otherwise": Race(
        refusing_drafts,
        ramp,
        lambda scene: scene.create_iteration(("10", "90")),
        (ExperimentDiffersError, "has a draft already"),
    ),
    "start, started": Race(Scene.create, start, Scene.start, lambda started: started.already_running),
    "start, started and stopped": Race(
        Scene.create,
        start,
        in_turn(Scene.start, Scene.stop),
        (IterationStoppedError, "is stopped .winner: .+.; a stopped iteration never starts again"),
    ),
    "start, started and replaced": Race(
        Scene.create,
        start,
        in_turn(Scene.start, Scene.replace),
        (IterationStoppedError, "never starts again"),
    ),
    "start, archived": Race(Scene.create, start, archive, (ExperimentArchivedError, "restore it")),
    "start, flag turned off": Race(
        Scene.create, start, lambda scene: scene.patch_flag(TurnFlagOff()), (FlagOffError, "is off")
    ),
    "stop, stopped alike": Race(running, stop, Scene.stop, lambda stopped: stopped.already_stopped),
    "stop, stopped otherwise": Race(
        running,
        stop,
        lambda scene: scene.stop("baseline"),
        (IterationStoppedError, "with winner 'Control', not with 'Treatment'"),
    ),
    "stop, replaced by one with the same treatments": Race(
        running_with_ids_of_variations,
        stop,
        Scene.replace,
        (
            WrongIterationStoppedError,
            "took effect on iteration '.+', which someone had started in its place: .+ serves variation 'Bold'",
        ),
    ),
    "stop whose answer is lost, replaced by one with the same treatments": Race(
        in_turn(
            running_with_ids_of_variations, lambda scene: scene.emulator.fault("patch_experiment", "close_after", nth=2)
        ),
        stop,
        Scene.replace,
        (WrongIterationStoppedError, "took effect on iteration '.+'"),
    ),
    "save and start, stopped": Race(
        running, save, Scene.stop, (IterationStoppedError, r"is stopped \(winner: .+\), so no copy of it")
    ),
    "save and start, replaced alike, is found out": Race(
        running,
        lambda scene: writes.save_and_start(ENV, "bold", scene.draft),
        in_turn(Scene.replace, stop_what_runs),
        (IterationStoppedError, "so no copy of it"),
    ),
    "update, started": Race(
        Scene.create,
        lambda scene: writes.update_experiment(ENV, "bold", writes.field_changes({"hypothesis": "Ours"})),
        Scene.start,
        (ConfigurationError, "hypothesis: LaunchDarkly does not update it while the iteration is running"),
    ),
    "update, updated alike": Race(
        Scene.create,
        lambda scene: writes.update_experiment(ENV, "bold", writes.field_changes({"name": "Ours"})),
        lambda scene: scene.other.run(writes.update_experiment(ENV, "bold", writes.field_changes({"name": "Ours"}))),
        lambda reached: reached.value.name == "Ours",
    ),
    "archive, started": Race(
        Scene.create,
        lambda scene: writes.archive_experiment(ENV, "bold"),
        Scene.start,
        (StateError, "stop it before archiving"),
    ),
    "archive, archived": Race(
        Scene.create,
        lambda scene: writes.archive_experiment(ENV, "bold"),
        archive,
        lambda reached: reached.value.archived,
    ),
    "restore, restored": Race(
        in_turn(Scene.create, archive),
        lambda scene: writes.restore_experiment(ENV, "bold"),
        lambda scene: scene.other.run(writes.restore_experiment(ENV, "bold")),
        lambda reached: not reached.value.archived,
    ),
    "create metric, created alike": Race(
        nothing,
        lambda scene: writes.create_metric("demo", METRIC),
        lambda scene: scene.other.run(writes.create_metric("demo", METRIC)),
        lambda made: made.adopted,
    ),
    "create metric, created otherwise": Race(
        nothing,
        lambda scene: writes.create_metric("demo", METRIC),
        lambda scene: scene.other.run(writes.create_metric("demo", OTHER_METRIC)),
        (ExperimentDiffersError, "eventKey: asked 'e', found 'other'"),
    ),
    "create metric group, created alike": Race(
        nothing,
        lambda scene: writes.create_metric_group("demo", scene.group()),
        lambda scene: scene.other.run(writes.create_metric_group("demo", scene.group())),
        lambda made: made.adopted,
    ),
    "create flag, created otherwise": Race(
        nothing,
        lambda scene: writes.create_flag("demo", FlagPost(key="f", name="Ours")),
        lambda scene: scene.other.run(writes.create_flag("demo", FlagPost(key="f", name="Theirs"))),
        (ExperimentDiffersError, "name: asked 'Ours', found 'Theirs'"),
    ),
}


@pytest.mark.parametrize("name", RACES)
def test_a_write_that_somebody_else_overtakes_succeeds_or_names_what_they_did(scene: Scene, name: str) -> None:
    race = RACES[name]
    race.prepare(scene)
    procedure = race.make(scene)
    scene.before_write.append(lambda: race.meanwhile(scene))
    if isinstance(race.expected, tuple):
        error, says = race.expected
        with pytest.raises(error, match=says) as raised:
            scene.driver.run(procedure)
        assert not raised.value.retryable
    else:
        assert race.expected(scene.driver.run(procedure))
    assert scene.before_write == []


def test_a_save_that_finds_the_iteration_stopped_names_the_winner(scene: Scene) -> None:
    running(scene)
    scene.before_write.append(scene.stop)
    with pytest.raises(IterationStoppedError) as stopped:
        scene.driver.run(save(scene))
    found = scene.other.run(writes.stop_iteration(ENV, "bold", scene.draft, winner="Treatment", reason="again"))
    assert stopped.value.winner == found.iteration.winning_treatment_id


def test_a_save_after_somebody_elses_is_not_taken_for_theirs(scene: Scene) -> None:
    """The instruction names no iteration: it ends theirs, and LaunchDarkly's answer does not say so."""
    running(scene)
    scene.before_write.append(lambda: scene.replace(hypothesis="Theirs"))
    saved = scene.driver.run(save(scene))
    assert saved.iteration.hypothesis == "Ours"


def test_a_flag_that_is_archived_meanwhile_is_not_turned_on(scene: Scene) -> None:
    scene.patch_flag(OtherFlagInstruction.of("archiveFlag"))
    with pytest.raises(FlagOffError, match="archived"):
        scene.driver.run(writes.turn_flag(ENV, FLAG, on=True))


def test_a_rule_that_an_experiment_takes_meanwhile_names_its_owner(connect: Connect, scene: Scene) -> None:
    scene.create()
    pending = [scene.start]

    def forward(request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH" and pending:
            pending.pop()()
        with httpx.Client(verify=False, trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        return httpx.Response(
            response.status_code, content=response.content, headers={"date": response.headers["date"]}
        )

    serving = writes.Serving(variation_id=scene.flag.variations[1].id)
    with pytest.raises(RuleOwnedError, match="belongs to the running experiment 'bold'"):
        connect(forward, url=scene.emulator.url).run(writes.serve(ENV, FLAG, serving))


WRITES: dict[str, tuple[Callable[[Scene], object], Callable[[Scene], Any], str]] = {
    "create experiment": (nothing, create, "create_experiment"),
    "create iteration": (running, ramp, "create_iteration"),
    "start": (Scene.create, start, "patch_experiment"),
    "stop": (running, stop, "patch_experiment"),
    "save and start": (running, save, "patch_experiment"),
    "update": (
        Scene.create,
        lambda scene: writes.update_experiment(ENV, "bold", writes.field_changes({"name": "Ours"})),
        "patch_experiment",
    ),
    "archive": (Scene.create, lambda scene: writes.archive_experiment(ENV, "bold"), "patch_experiment"),
    "create metric": (nothing, lambda scene: writes.create_metric("demo", METRIC), "post_metric"),
    "turn flag": (nothing, lambda scene: writes.turn_flag(ENV, FLAG, on=True), "patch_feature_flag"),
}


def test_the_waits_are_long_enough_for_launchdarkly() -> None:
    assert sum(SETTLING) >= 3
    assert sum(APPEARING) >= 7


@pytest.mark.parametrize("name", WRITES)
def test_a_write_of_unknown_outcome_is_looked_for_the_whole_time_before_it_is_sent_again(
    scene: Scene, name: str
) -> None:
    """It may be under way still: sent again too early, it would happen twice."""
    prepare, make, operation = WRITES[name]
    prepare(scene)
    scene.emulator.fault(operation, "close_before")
    scene.driver.run(make(scene))
    assert scene.driver.time.waits[: len(SETTLING)] == list(SETTLING)
    sent = [line.operation for line in scene.emulator.requests()]
    first = len(sent) - sent[::-1].index(operation) - 1
    assert sent[first - len(SETTLING) : first].count(operation) == 0


@pytest.mark.parametrize(
    ("name", "waits"),
    [
        ("create experiment", APPEARING),
        ("create iteration", APPEARING),
        ("start", SETTLING),
        ("stop", SETTLING),
        ("save and start", SETTLING),
        ("update", SETTLING),
        ("archive", SETTLING),
    ],
)
def test_a_write_that_does_not_show_is_waited_for_the_whole_time_and_not_sent_again(
    connect: Connect, scene: Scene, name: str, waits: tuple[float, ...]
) -> None:
    prepare, make, operation = WRITES[name]
    prepare(scene)
    frozen: dict[str, bytes] = {}

    def as_before(request: httpx.Request) -> httpx.Response:
        """Answers to reads as they were at first, and to a patch as its read."""
        with httpx.Client(verify=False, trust_env=False) as http:
            response = http.request(request.method, request.url, headers=request.headers, content=request.content)
        path = request.url.path
        status, body = response.status_code, response.content
        if path.endswith("/experiments/bold"):
            body = frozen.setdefault(path, body)
            status = 404 if b"not_found" in body else 200
        return httpx.Response(status, content=body, headers={"date": response.headers["date"]})

    driver = connect(as_before, url=scene.emulator.url)
    before = [line.operation for line in scene.emulator.requests()].count(operation)
    with pytest.raises(LaunchDarklyError):
        driver.run(make(scene))
    assert driver.time.waits == list(waits)
    after = [line.operation for line in scene.emulator.requests()].count(operation)
    assert after - before == 1
