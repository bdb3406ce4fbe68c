"""Random sequences of lifecycle calls through hook and emulator, against a small model of what they may lead to.

The model knows experiments, their iterations, one flag's rule; it predicts which calls succeed. Whatever the sequence:
LaunchDarkly's state is the model's, no state that LaunchDarkly forbids comes about, no 5xx, and every error is ours.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.rate_limit import RateGate
from airflow_provider_launchdarkly.api.models import ExperimentPost
from airflow_provider_launchdarkly.api.writes.flags import Serving
from airflow_provider_launchdarkly.hooks.connection import read_settings
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators._design import IterationDesign
from airflow_provider_launchdarkly.testing import EmulatorServer

FLAG = "checkout-button"
KEYS = ("red", "green")
SHARES = st.sampled_from([10, 25, 50])
FAULTS = st.sampled_from([None, None, None, "close_before", "close_after", "status_after", "status", "truncated"])


class Connected(LaunchDarklyHook):
    """A hook on an emulator, without Airflow's connections, whose client waits in no time."""

    def __init__(self, emulator: EmulatorServer) -> None:
        super().__init__(project_key="demo", environment_key="production")
        self._settings = read_settings(_Connection("emulator", emulator.url, None, emulator.token, None))
        now = [0.0]

        def sleep(seconds: float) -> None:
            now[0] += seconds

        self.client = LaunchDarklyClient(
            **asdict(self._settings.client), sleep=sleep, monotonic=lambda: now[0], gate=RateGate()
        )

    @override
    def get_conn(self) -> LaunchDarklyClient:
        return self.client


@dataclass(frozen=True)
class _Connection:
    conn_id: Any
    host: Any
    port: Any
    password: Any
    extra: Any
    login: Any = None
    schema: Any = None


@dataclass
class Modelled:
    """What the model knows of one experiment: iterations in the order of their making, by id, with status and share."""

    name: str
    archived: bool = False
    iterations: dict[str, tuple[str, int]] = field(default_factory=dict)

    def of(self, status: str) -> str | None:
        return next((key for key, (found, _) in self.iterations.items() if found == status), None)

    def become(self, iteration: str, status: str) -> None:
        self.iterations[iteration] = (status, self.iterations[iteration][1])


class Lifecycle(RuleBasedStateMachine):
    """One project, one rule, two experiments that both want it."""

    iterations = Bundle("iterations")

    @initialize()
    def begin(self) -> None:
        self.emulator = EmulatorServer()
        self.emulator.start()
        self.hook = Connected(self.emulator)
        self.flag = self.hook.get_flag(FLAG)
        self.model: dict[str, Modelled] = {}
        self.on = False
        self.refusals: list[LaunchDarklyError] = []

    @override
    def teardown(self) -> None:
        if hasattr(self, "emulator"):
            self.hook.client.close()
            self.emulator.stop()

    def design(self, bold: int) -> Any:
        return IterationDesign(
            flag_key=FLAG,
            hypothesis="Bold is better.",
            treatments=[
                {"variation": "Classic", "allocation_percent": 100 - bold, "baseline": True},
                {"variation": "Bold", "allocation_percent": bold},
            ],
            primary_metric="checkout-conversion",
        ).resolve(self.flag)

    def attempt(self, fault: str | None, expected: bool, call: Any) -> Any:
        """Make a call, with one fault on the way at most; None if it failed, which it may only where it is expected."""
        if fault:
            self.emulator.fault("write", fault)
        try:
            result = call()
        except LaunchDarklyError as error:
            if expected:
                raise
            self.refusals.append(error)
            return None
        finally:
            self.emulator.clear_faults()
        assert expected, f"succeeded although the model forbids it: {result}"
        return result

    @property
    def owner(self) -> str | None:
        return next((key for key, found in self.model.items() if found.of("running")), None)

    @rule(target=iterations, key=st.sampled_from(KEYS), bold=SHARES, fault=FAULTS)
    def create(self, key: str, bold: int, fault: str | None) -> Any:
        known = self.model.get(key)
        same = known is not None and any(share == bold for _, share in known.iterations.values())
        post = ExperimentPost.checked(
            {"key": key, "name": known.name if known else "First", "methodology": "bayesian"}
            | {"iteration": self.design(bold)}
        )
        made = self.attempt(fault, known is None or same, lambda: self.hook.create_experiment(post))
        if made is None:
            return multiple()
        assert made.adopted is (known is not None)
        if known is None:
            self.model[key] = Modelled("First", iterations={made.iteration.id: ("not_started", bold)})
        return (key, made.iteration.id)

    @rule(target=iterations, key=st.sampled_from(KEYS), bold=SHARES, fault=FAULTS)
    def draft(self, key: str, bold: int, fault: str | None) -> Any:
        known = self.model.get(key)
        waiting = known.of("not_started") if known else None
        possible = known is not None and not known.archived
        same = known is not None and waiting is not None and known.iterations[waiting][1] == bold
        expected = same or (possible and waiting is None)
        made = self.attempt(fault, expected, lambda: self.hook.create_iteration(key, self.design(bold)))
        if made is None or known is None:
            return multiple()
        known.iterations.setdefault(made.iteration.id, ("not_started", bold))
        return (key, made.iteration.id)

    @rule(which=iterations, turn_on=st.booleans(), replace=st.booleans(), fault=FAULTS)
    def start(self, which: tuple[str, str], turn_on: bool, replace: bool, fault: str | None) -> None:
        key, iteration = which
        known = self.model[key]
        status, _ = known.iterations[iteration]
        running = known.of("running")
        startable = (
            status == "not_started"
            and not known.archived
            and self.owner in (None, key)
            and (running is None or replace)
            and (self.on or turn_on)
        )
        begun = self.attempt(
            fault,
            status == "running" or startable,
            lambda: self.hook.start_iteration(
                key, iteration, turn_flag_on=turn_on, justification="next" if replace else None
            ),
        )
        # A start that fails for another reason may have turned the flag on before: that was asked for.
        self.on = self.hook.get_flag(FLAG).environments["production"].on
        if begun and not begun.already_running and status == "not_started":
            if running:
                known.become(running, "stopped")
            known.become(iteration, "running")

    @rule(which=iterations, winner=st.sampled_from(["Classic", "Bold", "baseline"]), fault=FAULTS)
    def stop(self, which: tuple[str, str], winner: str, fault: str | None) -> None:
        key, iteration = which
        known = self.model[key]
        status, _ = known.iterations[iteration]
        if status == "stopped":
            return  # With which winner, the model does not know; the procedure's own tests do.
        stopped = self.attempt(
            fault,
            status == "running",
            lambda: self.hook.stop_iteration(key, iteration, winner=winner, reason="model"),
        )
        if stopped:
            known.become(iteration, "stopped")
            config = self.hook.get_flag(FLAG).environments["production"]
            served = self.flag.variation_at(config.fallthrough.variation if config.fallthrough else None)
            assert served is not None
            assert served.name == ("Classic" if winner == "baseline" else winner)

    @rule(target=iterations, which=iterations, bold=SHARES, fault=FAULTS)
    def save_and_start(self, which: tuple[str, str], bold: int, fault: str | None) -> Any:
        key, iteration = which
        known = self.model[key]
        if known.iterations[iteration][0] != "running" or known.of("not_started"):
            return multiple()  # What becomes of a draft that waits is not documented.
        treatments = self.design(bold).to_wire()["treatments"]
        saved = self.attempt(
            fault, self.on, lambda: self.hook.save_and_start(key, iteration, {"treatments": treatments})
        )
        if saved is None:
            return multiple()
        known.become(iteration, "stopped")
        known.iterations[saved.iteration.id] = ("running", bold)
        return (key, saved.iteration.id)

    @rule(key=st.sampled_from(KEYS), name=st.sampled_from(["First", "Second"]), fault=FAULTS)
    def rename(self, key: str, name: str, fault: str | None) -> None:
        known = self.model.get(key)
        if known and known.archived:
            return  # Whether an archived experiment can be edited is not documented.
        renamed = self.attempt(fault, known is not None, lambda: self.hook.update_experiment(key, {"name": name}))
        if renamed and known:
            assert renamed.changed is (known.name != name) or fault
            known.name = name

    @rule(key=st.sampled_from(KEYS), fault=FAULTS)
    def archive(self, key: str, fault: str | None) -> None:
        known = self.model.get(key)
        expected = known is not None and (known.archived or known.of("running") is None)
        if self.attempt(fault, expected, lambda: self.hook.archive_experiment(key)) and known:
            known.archived = True

    @rule(key=st.sampled_from(KEYS), fault=FAULTS)
    def restore(self, key: str, fault: str | None) -> None:
        known = self.model.get(key)
        if self.attempt(fault, known is not None, lambda: self.hook.restore_experiment(key)) and known:
            known.archived = False

    @rule(on=st.booleans(), fault=FAULTS)
    def turn(self, on: bool, fault: str | None) -> None:
        self.attempt(fault, True, lambda: self.hook.turn_flag(FLAG, on=on))
        self.on = on

    @rule(bold=st.booleans(), fault=FAULTS)
    def serve(self, bold: bool, fault: str | None) -> None:
        variation = self.flag.variations[int(bold)].id
        self.attempt(fault, self.owner is None, lambda: self.hook.serve(FLAG, Serving(variation_id=variation)))

    @invariant()
    def launchdarkly_is_where_the_model_is(self) -> None:
        if not hasattr(self, "model"):
            return
        expand = ("previousIterations", "draftIteration", "treatments")
        found = {e.key: e for e in self.hook.list_experiments(lifecycle_state=("active", "archived"), expand=expand)}
        assert found.keys() == self.model.keys()
        for key, known in self.model.items():
            shown = {iteration.id: iteration.status for iteration in found[key].iterations}
            assert shown == {iteration: status for iteration, (status, _) in known.iterations.items()}
            assert (found[key].archived, found[key].name) == (known.archived, known.name)
        assert self.hook.get_flag(FLAG).environments["production"].on is self.on

    @invariant()
    def nothing_is_as_launchdarkly_forbids(self) -> None:
        if not hasattr(self, "model"):
            return
        world = self.emulator.call(lambda running: running.world.projects["demo"].experiments)
        experiments = [found for (environment, _), found in world.items() if environment == "production"]
        running = [found for found in experiments if found.running]
        assert len(running) <= 1
        for found in experiments:
            statuses = [iteration.status for iteration in found.iterations]
            assert statuses.count("running") <= 1
            assert statuses.count("not_started") <= 1
            assert not (found.archived_at and found.running)
        rule = self.emulator.call(lambda inner: inner.world.projects["demo"].flags[FLAG].configs["production"])
        owner = getattr(getattr(rule.fallthrough, "experiment", None), "experiment_key", None)
        assert owner == (running[0].key if running else None)

    @invariant()
    def the_emulator_answers_no_error_of_its_own(self) -> None:
        if hasattr(self, "model"):
            lines = self.emulator.requests()
            assert [line for line in lines if line.status and line.status >= 500 and line.fault is None] == []


TestAnySequence = Lifecycle.TestCase
TestAnySequence.settings = settings(
    stateful_step_count=25,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    derandomize=True,
)
