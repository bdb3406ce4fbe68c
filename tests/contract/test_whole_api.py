"""LaunchDarkly's own clients run every method of their Experiments API on the emulator, through a complete life."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from contract.checkout import (
    ENVIRONMENT,
    EVERYTHING,
    FLAG,
    FUNNEL,
    HERE,
    IN_ENVIRONMENT,
    IN_PROJECT,
    KEY,
    METRIC,
    create,
    experiment_post,
    iteration_input,
    patch,
    read,
    read_flag,
    start,
    stop_on,
    treatment,
    turn_flag_on,
)
from contract.official import SEMANTIC_PATCH, VERSIONS, OfficialClient, refused

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.testing import EmulatorServer
    from contract.official import Answer, ClientProcess


def fields(**changes: tuple[str, Any]) -> dict[str, Any]:
    """Field changes as instructions carry them, from `name=(operation, value)`."""
    return {
        name: {"operation": operation, **({"value": value} if value is not None else {})}
        for name, (operation, value) in changes.items()
    }


def update(client: OfficialClient, **changes: tuple[str, Any]) -> Answer:
    return patch(client, {"kind": "updateExperimentFields", "value": fields(**changes)})


def listed(client: OfficialClient, **parameters: Any) -> list[str]:
    return [
        experiment["key"] for experiment in client.experiments.get_experiments(**IN_ENVIRONMENT, **parameters)["items"]
    ]


def test_a_complete_life_uses_every_method_that_the_client_has(
    client: OfficialClient, emulator: EmulatorServer
) -> None:
    experiments = client.experiments
    units = experiments.get_experimentation_settings(**IN_PROJECT)["randomizationUnits"]
    put = [{"randomizationUnit": unit["randomizationUnit"], "default": unit["default"]} for unit in units]
    experiments.put_experimentation_settings(
        **IN_PROJECT,
        randomization_settings_put={
            "randomizationUnits": [{**unit, "standardRandomizationUnit": "user"} for unit in put]
        },
    )

    first = start(client)["currentIteration"]["_id"]
    emulator.clock.advance("P7D")
    if client.generation == 17:
        assert experiments.get_experiment_results(**HERE, metric_key=METRIC)["metricSeen"]["ever"]
        experiments.get_experiment_results_for_metric_group(**HERE, metric_group_key=FUNNEL)
    if client.version == "17.1.0":
        experiments.get_legacy_experiment_results(**IN_ENVIRONMENT, feature_flag_key=FLAG, metric_key=METRIC)
    update(client, name=("update", "A bolder checkout button"), metrics=("add", [{"key": "checkout-errors"}]))
    experiments.create_iteration(**HERE, iteration_input=iteration_input(read_flag(client)))
    second = patch(client, {"kind": "startIteration", "changeJustification": "more patience"})["currentIteration"][
        "_id"
    ]
    third = patch(client, {"kind": "saveAndStartNewIteration", "changeJustification": "more still"})
    stopped = stop_on(client, "Bold")["currentIteration"]
    patch(client, {"kind": "archiveExperiment"})
    hidden = listed(client)
    restored = patch(client, {"kind": "restoreExperiment"})
    if client.generation == 25:
        everywhere = experiments.get_experiments_any_env(**IN_PROJECT, filter=f"flagKey:{FLAG}")
        assert [experiment["environmentKey"] for experiment in everywhere["items"]] == [ENVIRONMENT]

    assert (hidden, listed(client)) == ([], [KEY])
    assert restored["name"] == "A bolder checkout button"
    assert stopped["_id"] == third["currentIteration"]["_id"]
    assert {iteration["_id"] for iteration in read(client)["previousIterations"]} == {first, second}
    assert read_flag(client)["environments"][ENVIRONMENT]["fallthrough"] == {"variation": 1}
    assert set(client.methods("experiments")) == client.used["experiments"]


def test_name_and_description_are_changed_by_the_instructions_of_the_older_clients(client: OfficialClient) -> None:
    create(client)

    changed = patch(client, {"kind": "updateName", "value": "n"}, {"kind": "updateDescription", "value": "d"})

    assert (changed["name"], changed["description"]) == ("n", "d")


@pytest.mark.parametrize(
    ("changes", "name", "found"),
    [
        ({"name": ("update", "n")}, "name", "n"),
        ({"description": ("update", "d")}, "description", "d"),
        ({"tags": ("add", ["b", "c"])}, "tags", ["a", "b", "c"]),
        ({"tags": ("update", ["c"])}, "tags", ["c"]),
        ({"tags": ("remove", ["a"])}, "tags", []),
    ],
)
def test_what_describes_an_experiment_may_change_while_it_runs(
    client: OfficialClient, changes: dict[str, tuple[str, Any]], name: str, found: Any
) -> None:
    running = start(client)["currentIteration"]["_id"]
    update(client, tags=("update", ["a"]))

    changed = update(client, **changes)

    assert changed.raw[name] == found
    assert changed["currentIteration"]["_id"] == running
    assert changed["currentIteration"]["status"] == "running"


def test_metrics_and_attributes_may_be_added_while_it_runs(client: OfficialClient) -> None:
    running = start(client)["currentIteration"]["_id"]

    changed = update(client, metrics=("add", [{"key": "checkout-errors"}]), attributes=("add", ["plan"]))

    iteration = changed["currentIteration"]
    assert iteration["_id"] == running
    assert iteration["attributes"] == ["country", "plan"]
    assert [metric["key"] for metric in iteration["metrics"]] == [METRIC, "page-load-ms", FUNNEL, "checkout-errors"]


@pytest.mark.parametrize(
    "changes",
    [
        {"hypothesis": ("update", "h")},
        {"methodology": ("update", "frequentist")},
        {"treatments": ("update", [])},
        {"metrics": ("remove", [{"key": "page-load-ms"}])},
        {"randomizationUnit": ("update", "organization")},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_the_design_is_locked_while_it_runs(client: OfficialClient, changes: dict[str, tuple[str, Any]]) -> None:
    start(client)
    before = read(client, expand=EVERYTHING)

    with refused(400):
        update(client, **changes)

    assert read(client, expand=EVERYTHING).raw == before.raw


def test_the_design_may_change_before_it_starts(client: OfficialClient) -> None:
    waiting = create(client)["currentIteration"]["_id"]
    classic, bold = (variation["_id"] for variation in read_flag(client)["variations"])

    update(
        client,
        hypothesis=("update", "h"),
        treatments=(
            "update",
            [
                treatment("Classic", classic, baseline=True, percent="80"),
                treatment("Bold", bold, baseline=False, percent="20"),
            ],
        ),
    )

    iteration = read(client)["currentIteration"]
    assert (iteration["_id"], iteration["hypothesis"]) == (waiting, "h")
    assert [arm["allocationPercent"] for arm in iteration["treatments"]] == ["80", "20"]


def test_save_and_start_replaces_the_running_iteration_without_a_winner(client: OfficialClient) -> None:
    old = start(client)["currentIteration"]["_id"]
    classic, bold = (variation["_id"] for variation in read_flag(client)["variations"])
    arms = [
        treatment("Classic", classic, baseline=True, percent="75"),
        treatment("Bold", bold, baseline=False, percent="25"),
    ]

    patch(
        client,
        {
            "kind": "saveAndStartNewIteration",
            "changeJustification": "less of it",
            "value": fields(hypothesis=("update", "less is more"), treatments=("update", arms)),
        },
    )

    experiment = read(client)
    new, [previous] = experiment["currentIteration"], experiment["previousIterations"]
    assert (new["status"], new["hypothesis"]) == ("running", "less is more")
    assert (previous["_id"], previous["status"]) == (old, "stopped")
    assert "winningTreatmentId" not in previous
    rollout = read_flag(client)["environments"][ENVIRONMENT]["fallthrough"]["rollout"]
    assert sum(part["weight"] for part in rollout["variations"] if part["variation"] == 1) == 25_000


def test_a_repeated_save_and_start_makes_one_more_iteration(client: OfficialClient) -> None:
    start(client)

    for _ in range(2):
        patch(client, {"kind": "saveAndStartNewIteration"})

    assert len(read(client)["previousIterations"]) == 2


def test_save_and_start_needs_a_running_iteration(client: OfficialClient) -> None:
    create(client)

    with refused(400):
        patch(client, {"kind": "saveAndStartNewIteration"})


def test_an_archived_experiment_is_hidden_until_it_is_asked_for_and_starts_nothing(client: OfficialClient) -> None:
    create(client)

    archived = patch(client, {"kind": "archiveExperiment"})

    assert archived["archivedDate"]
    assert read(client)["key"] == KEY
    assert listed(client) == []
    assert listed(client, lifecycle_state="archived") == listed(client, lifecycle_state="archived,active") == [KEY]
    with refused(400):
        patch(client, {"kind": "startIteration"})


def test_a_restored_experiment_can_start(client: OfficialClient) -> None:
    create(client)
    patch(client, {"kind": "archiveExperiment"})

    restored = patch(client, {"kind": "restoreExperiment"}, {"kind": "startIteration"})

    assert "archivedDate" not in restored.value
    assert restored["currentIteration"]["status"] == "running"


def test_settings_list_the_units_that_people_may_be_split_by(client: OfficialClient) -> None:
    settings = client.experiments.get_experimentation_settings(**IN_PROJECT)

    assert settings.model == "RandomizationSettingsRep"
    assert settings["_projectKey"] == "demo"
    assert [(unit["randomizationUnit"], unit["default"]) for unit in settings["randomizationUnits"]] == [
        ("user", True),
        ("organization", False),
    ]


def test_putting_settings_replaces_the_whole_list(client: OfficialClient) -> None:
    only = {"randomizationUnit": "organization", "default": True, "standardRandomizationUnit": "organization"}

    put = client.experiments.put_experimentation_settings(
        **IN_PROJECT, randomization_settings_put={"randomizationUnits": [only]}
    )

    read_back = client.experiments.get_experimentation_settings(**IN_PROJECT)
    assert put.value == read_back.value
    assert [unit["randomizationUnit"] for unit in read_back["randomizationUnits"]] == ["organization"]
    with refused(400):
        create(client)


def test_settings_have_one_default_at_most(client: OfficialClient) -> None:
    units = [
        {"randomizationUnit": unit, "default": True, "standardRandomizationUnit": unit}
        for unit in ("user", "organization")
    ]

    with refused(400):
        client.experiments.put_experimentation_settings(
            **IN_PROJECT, randomization_settings_put={"randomizationUnits": units}
        )


def test_an_experiment_on_a_rule_leaves_the_other_rules_alone(client: OfficialClient) -> None:
    flag = {**IN_PROJECT, "feature_flag_key": "pricing-page"}
    before = client.feature_flags.patch_feature_flag(
        **flag,
        patch_with_comment={"environmentKey": ENVIRONMENT, "instructions": [{"kind": "turnFlagOn"}]},
        content_type=SEMANTIC_PATCH,
    )
    [rule] = before["environments"][ENVIRONMENT]["rules"]
    present, new = (variation["_id"] for variation in before["variations"])
    arms = [
        {
            "name": name,
            "baseline": baseline,
            "allocationPercent": "50",
            "parameters": [{"flagKey": "pricing-page", "variationId": variation}],
        }
        for name, baseline, variation in (("Present", True, present), ("New", False, new))
    ]
    post = experiment_post(read_flag(client))
    post["iteration"] |= {
        "treatments": arms,
        "flags": {"pricing-page": {"ruleId": rule["_id"], "flagConfigVersion": 2}},
        "metrics": [{"key": "signup-form-opened"}],
        "primarySingleMetricKey": "signup-form-opened",
    }
    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=post)

    patch(client, {"kind": "startIteration"})

    after = client.feature_flags.get_feature_flag(**flag)["environments"][ENVIRONMENT]
    assert "rollout" in after["rules"][0]
    assert after["fallthrough"] == before["environments"][ENVIRONMENT]["fallthrough"]
    shown = read(client)["currentIteration"]["flags"]["pricing-page"]
    assert shown["targetingRule"] == rule["_id"]
    assert shown["targetingRuleClauses"][0]["values"] == ["DE"]


def test_a_funnel_can_be_the_primary_metric(client: OfficialClient) -> None:
    post = experiment_post(turn_flag_on(client))
    del post["iteration"]["primarySingleMetricKey"]
    post["iteration"]["primaryFunnelKey"] = FUNNEL

    client.experiments.create_experiment(**IN_ENVIRONMENT, experiment_post=post)

    iteration = read(client)["currentIteration"]
    assert iteration["primaryFunnel"]["key"] == FUNNEL
    assert len(iteration["primaryFunnel"]["metrics"]) == 3
    assert "primarySingleMetric" not in iteration


class TestLegacyResults:
    """The last client that reads them is 17.1.0."""

    @pytest.fixture
    def client(self, processes: dict[str, ClientProcess], emulator: EmulatorServer) -> OfficialClient:
        return OfficialClient(processes["17.1.0"], processes[VERSIONS[-1]], emulator)

    def test_results_of_a_legacy_experiment_come_by_variation(
        self, client: OfficialClient, emulator: EmulatorServer
    ) -> None:
        start(client)
        emulator.clock.advance("P7D")

        results = client.experiments.get_legacy_experiment_results(
            **IN_ENVIRONMENT, feature_flag_key=FLAG, metric_key=METRIC
        )

        assert results.model == "ExperimentResults"
        assert len(results["totals"]) == len(results["metadata"]) == 2
        assert all(total["cumulativeImpressionCount"] > 0 for total in results["totals"])
        assert all(0 < total["cumulativeConversionRate"] < 1 for total in results["totals"])
        assert 0 <= results["stats"]["pValue"] <= 1
        assert results["metricSeen"]["ever"] is True

    def test_results_of_a_legacy_experiment_are_cut_to_the_time_asked_for(
        self, client: OfficialClient, emulator: EmulatorServer
    ) -> None:
        start(client)
        began = round(emulator.clock.now().timestamp() * 1000)
        emulator.clock.advance("P7D")

        results = client.experiments.get_legacy_experiment_results(
            **IN_ENVIRONMENT, feature_flag_key=FLAG, metric_key=METRIC, _from=began, to=began + 2 * 86_400_000
        )

        assert all(began <= part["Time"] <= began + 2 * 86_400_000 for part in results["series"])

    def test_results_of_a_metric_that_does_not_exist_are_not_found(self, client: OfficialClient) -> None:
        with refused(404):
            client.experiments.get_legacy_experiment_results(
                **IN_ENVIRONMENT, feature_flag_key=FLAG, metric_key="nothing"
            )
