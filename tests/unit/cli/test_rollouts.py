"""`plan`, `validate`, `init` and `schema`, against the emulator: what they say, and their exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.http.client import LaunchDarklyClient
from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
from airflow_provider_launchdarkly.api.models.instructions import ArchiveExperiment, ExperimentInstruction, UpdateName
from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
from airflow_provider_launchdarkly.rollout.files import NamedRollout, read_file
from airflow_provider_launchdarkly.rollout.requests import experiment_post, stage_iteration
from airflow_provider_launchdarkly.testing import EmulatorServer
from support.surroundings import CONNECTION, REPOSITORY
from unit.cli.conftest import Run

ENV = EnvironmentRef("demo", "production")
Command = Callable[..., Run]
TOO_SMALL = "{traffic: {units_per_day: 2000, mean: 0.1}, primary: {minimum_detectable_effect: 0.01}}"


class LaunchDarkly:
    """What Airflow, and people, do in LaunchDarkly."""

    def __init__(self, emulator: EmulatorServer) -> None:
        self.client = LaunchDarklyClient(emulator.url, emulator.token)

    def create(self, file: Path, stage: int = 0) -> str:
        """Create the file's experiment, with the iteration of a stage."""
        (named,) = read_file(file)
        assert isinstance(named, NamedRollout)
        flag = self.client.send(endpoints.get_flag("demo", "checkout-button", environments=("production",))).value
        design = stage_iteration(named.rollout, stage, flag)
        created = self.client.run(writes.create_experiment(ENV, experiment_post(named.rollout, design)))
        return created.iteration.id

    def start(self, iteration_id: str) -> None:
        self.client.run(writes.start_iteration(ENV, "button", iteration_id, turn_flag_on=True))

    def stop(self, iteration_id: str) -> None:
        self.client.run(writes.stop_iteration(ENV, "button", iteration_id, winner="baseline", reason="done"))

    def patch(self, *instructions: ExperimentInstruction) -> None:
        self.client.send(endpoints.patch_experiment(ENV, "button", instructions))


@pytest.fixture
def launchdarkly(emulator: EmulatorServer) -> LaunchDarkly:
    return LaunchDarkly(emulator)


def requests_that_write(emulator: EmulatorServer) -> list[str]:
    return [request.operation for request in emulator.requests() if request.method != "GET"]


def test_plan_says_what_is_to_be_created_and_sends_nothing(
    run: Command, button: Path, emulator: EmulatorServer
) -> None:
    planned = run("plan", button)
    assert planned.code == 2
    assert planned.out.startswith("+ create   button")
    assert "stages[0]: Classic 90 % / Bold 10 %" in planned.out
    assert "1 create, 0 change, 0 drifted, 0 equal" in planned.out
    assert requests_that_write(emulator) == []


def test_plan_says_what_becomes_of_the_flag_afterwards(run: Command, button: Path) -> None:
    assert "afterwards:" not in run("plan", button).out
    button.write_text(button.read_text().rstrip() + "\n    endings: {retire: {mode: archive}}\n")
    planned = run("plan", button)
    assert (
        "    afterwards: archive flag checkout-button and its experiments once everyone has got the same" in planned.out
    )


def test_plan_names_an_environment_of_the_retirement_that_does_not_exist(run: Command, button: Path) -> None:
    button.write_text(button.read_text().rstrip() + "\n    endings: {retire: {environments: [prod]}}\n")
    planned = run("plan", button)
    assert planned.code == 1
    assert "endings.retire.environments[0]: project 'demo' has no environment 'prod'" in planned.err


def test_plan_of_an_experiment_as_the_file_says_finds_nothing_to_do(
    run: Command, button: Path, launchdarkly: LaunchDarkly
) -> None:
    launchdarkly.create(button)
    planned = run("plan", button)
    assert planned.code == 0
    assert "= equal    button (not_started, stage 1 of 2)" in planned.out


@pytest.mark.parametrize("stage", [0, 1])
def test_plan_knows_the_stage_that_is_under_way(
    run: Command, button: Path, launchdarkly: LaunchDarkly, stage: int
) -> None:
    launchdarkly.start(launchdarkly.create(button, stage))
    planned = run("plan", button)
    assert (planned.code, f"(running, stage {stage + 1} of 2)" in planned.out) == (0, True)


def test_plan_shows_each_field_that_is_to_be_changed(run: Command, button: Path, launchdarkly: LaunchDarkly) -> None:
    launchdarkly.start(launchdarkly.create(button))
    launchdarkly.patch(UpdateName(value="Renamed by hand"))
    planned = run("plan", button)
    assert planned.code == 2
    assert "~ change   button (running, stage 1 of 2)" in planned.out
    assert "name: file 'Button', LaunchDarkly 'Renamed by hand'" in planned.out


def test_plan_calls_a_running_iteration_of_no_stage_drifted(
    run: Command, button: Path, launchdarkly: LaunchDarkly
) -> None:
    launchdarkly.start(launchdarkly.create(button))
    button.write_text(button.read_text().replace("allocation: 10", "allocation: 20"))
    planned = run("plan", button)
    assert planned.code == 2
    assert "! drifted  button (running)" in planned.out
    assert "treatments[Bold].allocationPercent: file '20', LaunchDarkly '10'" in planned.out


def test_plan_calls_an_archived_experiment_drifted(run: Command, button: Path, launchdarkly: LaunchDarkly) -> None:
    iteration = launchdarkly.create(button)
    launchdarkly.start(iteration)
    launchdarkly.stop(iteration)
    launchdarkly.patch(ArchiveExperiment())
    planned = run("plan", button)
    assert (planned.code, "archived: file False, LaunchDarkly True" in planned.out) == (2, True)


def test_plan_goes_on_after_what_it_cannot_compare_and_fails(
    run: Command, button: Path, tmp_path: Path, launchdarkly: LaunchDarkly
) -> None:
    launchdarkly.create(button)
    wrong = button.read_text().replace("button:", "other:", 1)
    (tmp_path / "a.yaml").write_text(wrong.replace("variation: Bold", "variation: Bald"))
    (tmp_path / "b.yaml").write_text("rollouts: {c: {}}\n")
    planned = run("plan", tmp_path)
    assert planned.code == 1
    assert "a.yaml:2: other: variation 'Bald' is not one of flag 'checkout-button'" in planned.err
    assert "b.yaml:1: stages: is required" in planned.err
    assert "= equal    button" in planned.out


def test_plan_without_access_says_what_to_set(run: Command, button: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONNECTION)
    planned = run("plan", button)
    assert planned.code == 1
    assert f"set {CONNECTION}, or LAUNCHDARKLY_ACCESS_TOKEN" in planned.err


def test_plan_takes_a_token_and_options(
    run: Command, button: Path, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CONNECTION)
    monkeypatch.setenv("LAUNCHDARKLY_ACCESS_TOKEN", emulator.token)
    assert run("plan", button, "--host", emulator.url, "--project", "demo").err.endswith(
        "no environment is named: give --environment, or name it in the file\n"
    )
    planned = run("plan", button, "--host", emulator.url, "--project", "demo", "--environment", "production")
    assert (planned.code, planned.err) == (2, "")


def test_plan_takes_a_connection_uri(
    run: Command, button: Path, emulator: EmulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = quote(emulator.url, safe="")
    keys = "project_key=demo&environment_key=production"
    monkeypatch.setenv(CONNECTION, f"launchdarkly://:{emulator.token}@{host}/?{keys}")
    assert (run("plan", button).code, run("plan", button).err) == (2, "")


def test_a_token_is_never_printed(run: Command, button: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    unanswered = {"host": "http://127.0.0.1:1", "password": "api-very-secret", "extra": {"retry_budget": 1}}
    monkeypatch.setenv(CONNECTION, json.dumps(unanswered))
    planned = run("plan", button, "--project", "demo", "--environment", "production")
    assert planned.code == 1
    assert "api-very-secret" not in planned.out + planned.err


def test_validate_needs_no_network(run: Command, button: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CONNECTION)
    validated = run("validate", button)
    assert (validated.code, validated.out.splitlines()[-1]) == (0, "valid rollouts: 1")
    assert "warning" not in validated.out


@pytest.mark.parametrize(
    ("old", "new", "warning"),
    [
        ("allocation: 10, dwell: 2d", "allocation: 60, dwell: 2d", "a stage before the last serves more than 50 %"),
        (
            "{allocation: 10, dwell: 2d}\n      - {allocation: 50,",
            "{allocation: 0.1, dwell: 2d}\n      - {allocation: 0.5,",
            "allocation is in percent, so something new is served to 0.1 % and 0.5 %; for a half, write 50",
        ),
        (
            "    stages:",
            f"    policy: {TOO_SMALL}\n    stages:",
            "policy: primary.minimum_detectable_effect 0.01 does not fit: to find 1 % with power 0.8 takes",
        ),
        (
            "    stages:",
            "    policy: {traffic: {units_per_day: 150, mean: 0.1}, min_units_per_treatment: 3000}\n    stages:",
            "policy: min_units_per_treatment 3,000 do not arrive: 150 a day bring 4,200 until max_duration 28d",
        ),
        (
            "    stages:",
            "    policy: {traffic: {units_per_day: 2000, mean: 0.1}, planned_units: 60000}\n    stages:",
            "policy: planned_units 60,000 do not arrive: 2000 a day bring 56,000 until max_duration 28d",
        ),
        (
            "    stages:",
            "    policy: {primary: {minimum_detectable_effect: 4}, planned_units: 60000}\n    stages:",
            "a lift of 400 %; write 0.04 for 4 %",
        ),
        (
            "    stages:",
            "    policy: {guardrails: [{metric: page-load-ms, margin: 0.5}]}\n    stages:",
            "write 0.005 for 0.5 %",
        ),
        ("    stages:", "    reshuffle: true\n    stages:", "some of them switch back and forth"),
    ],
)
def test_validate_and_plan_warn_of_what_may_be_a_slip(
    run: Command, button: Path, old: str, new: str, warning: str
) -> None:
    text = button.read_text()
    assert old in text
    button.write_text(text.replace(old, new))
    validated, planned = run("validate", button), run("plan", button)
    assert (validated.code, planned.code) == (0, 2)
    lines = [line for line in validated.out.splitlines() if warning in line]
    assert [line.startswith(f"{button}:2: button: warning: ") for line in lines] == [True]
    assert warning in planned.out


def test_what_is_right_has_no_warning(run: Command, button: Path) -> None:
    page = (REPOSITORY / "docs" / "how-to" / "rollouts-as-files.md").read_text()
    example = button.with_name("example.yaml")
    example.write_text(page.split("```yaml\n")[1].split("```")[0])
    for file in (button, example, REPOSITORY / "dags_examples" / "rollouts"):
        validated = run("validate", file)
        assert (validated.code, "warning" in validated.out, validated.err) == (0, False, "")


@pytest.mark.parametrize(
    ("policy", "field", "message"),
    [
        ("alpha: 0.95", "alpha", "not the confidence: write 0.05 for a confidence of 95 %"),
        ("alpha_harm: 0.9", "alpha_harm", "write 0.1 for a confidence of 90 %"),
        ("mismatch: {alpha: 0.99}", "mismatch.alpha", "write 0.01"),
        ("looks: {cron: '* * * * *'}", "looks", "more than 200 looks"),
        ("maturity: 7d", "maturity", "7d cannot be kept: LaunchDarkly's results cannot leave young units out"),
        ("burn_in: 2d", "burn_in", "2d cannot be kept: LaunchDarkly's results cannot leave the first units out"),
    ],
)
def test_validate_refuses_what_cannot_be_meant(
    run: Command, button: Path, policy: str, field: str, message: str
) -> None:
    button.write_text(button.read_text() + f"    policy: {{{policy}}}\n")
    validated = run("validate", button)
    assert validated.code == 1
    assert f"{button}:16: policy.{field}: " in validated.err
    assert message in validated.err


def test_validate_refuses_a_window_that_never_opens(run: Command, button: Path) -> None:
    button.write_text(button.read_text() + "    change_window: {blackout: [2020-01-01/2099-12-31]}\n")
    validated = run("validate", button)
    assert (validated.code, f"{button}:16: change_window: never opens" in validated.err) == (1, True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "metrics: [page-load-ms]",
            "metrics: [page-lod-ms]",
            "experiment.metrics[0]: project 'demo' has no metric 'page-lod-ms'; near it is 'page-load-ms'",
        ),
        (
            "primary_metric: checkout-conversion",
            "primary_metric: checkout-conversions",
            "primary_metric: project 'demo' has no metric 'checkout-conversions'; near it are 'checkout-conversion', ",
        ),
        (
            "    stages:",
            "    policy: {guardrails: [{metric: page-load}]}\n    stages:",
            "policy.guardrails[0].metric: project 'demo' has no metric 'page-load'; near it is 'page-load-ms'",
        ),
        (
            "    stages:",
            "    policy: {signals: [{metric: nothing-like-it-at-all}]}\n    stages:",
            "policy.signals[0].metric: project 'demo' has no metric 'nothing-like-it-at-all'; it has 'checkout-",
        ),
    ],
)
def test_plan_refuses_a_metric_that_launchdarkly_does_not_have(
    run: Command, button: Path, old: str, new: str, message: str
) -> None:
    button.write_text(button.read_text().replace(old, new))
    planned = run("plan", button)
    assert planned.code == 1
    assert planned.err.startswith(f"{button}:2: button: ")
    assert message in planned.err


def test_plan_refuses_to_judge_a_percentile(run: Command, button: Path, emulator: EmulatorServer) -> None:
    def change(emulated: Emulator) -> None:
        metrics = emulated.world.projects["demo"].metrics
        metrics["page-load-ms"] = replace(
            metrics["page-load-ms"], analysis_type="percentile", details={"percentileValue": 95}
        )

    emulator.call(change)
    assert run("plan", button).code == 2  # it is measured, and not judged
    button.write_text(button.read_text() + "    policy: {guardrails: [{metric: page-load-ms}]}\n")
    planned = run("plan", button)
    assert planned.code == 1
    assert "metric 'page-load-ms' is analysed by percentile 95" in planned.err


@pytest.mark.parametrize(("direction", "warned"), [("higher", True), ("lower", False)])
def test_plan_warns_of_a_direction_against_the_metrics_own(
    run: Command, button: Path, direction: str, warned: bool
) -> None:
    policy = f"    policy: {{guardrails: [{{metric: page-load-ms, direction: {direction}}}]}}\n"
    button.write_text(button.read_text() + policy)
    planned = run("plan", button)
    warning = "policy.guardrails[0].direction is higher, but metric 'page-load-ms' improves when it is lower"
    assert (planned.code, warning in planned.out) == (2, warned)


def test_validate_names_file_line_and_field(run: Command, button: Path) -> None:
    button.write_text(button.read_text().replace("dwell: 2d", "dwell: 0d"))
    validated = run("validate", button)
    assert validated.code == 1
    assert f"{button}:14: stages[0]: dwell is " in validated.err


def test_nothing_to_validate_is_wrong(run: Command, tmp_path: Path) -> None:
    assert run("validate", tmp_path).code == 1


@pytest.mark.parametrize("started", [False, True])
def test_init_writes_a_file_that_plan_finds_equal(
    run: Command, button: Path, tmp_path: Path, launchdarkly: LaunchDarkly, started: bool
) -> None:
    iteration = launchdarkly.create(button, stage=1)
    if started:
        launchdarkly.start(iteration)
    made = tmp_path / "made.yaml"
    assert run("init", "button", "--output", made).code == 0
    assert run("validate", made).code == 0
    assert "= equal    button" in run("plan", made).out
    assert made.read_text().count("#") > 8


def test_init_prints_to_the_terminal_and_overwrites_nothing(
    run: Command, button: Path, launchdarkly: LaunchDarkly
) -> None:
    launchdarkly.create(button)
    assert "hypothesis: " in run("init", "button").out
    refused = run("init", "button", "--output", button)
    assert (refused.code, "exists already" in refused.err) == (1, True)


def test_init_of_an_experiment_that_is_not_there_says_so(run: Command) -> None:
    missing = run("init", "no-such-experiment")
    assert (missing.code, "no-such-experiment" in missing.err) == (1, True)


def test_schema_is_printed_as_json(run: Command) -> None:
    assert json.loads(run("schema").out)["required"] == ["rollouts"]


def test_the_commands_load_no_airflow(button: Path) -> None:
    code = (
        "import sys; from airflow_provider_launchdarkly.cli.main import main; "
        f"main(['validate', {str(button)!r}]); main(['plan', {str(button)!r}]); print('airflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"
