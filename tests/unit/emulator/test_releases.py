"""Environment releases on the emulator: what starts, how it goes on, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    import httpx

    from support.emulator_caller import Caller, StartEmulator

RELEASES = "/api/v2/projects/demo/flags/checkout-button/environments/production/releases"
DAY = 86_400_000
KIND = {"contextKind": "user", "attribute": "kind", "op": "in", "values": ["user"]}
GERMANS = {"contextKind": "user", "attribute": "country", "op": "in", "values": ["DE"]}
PROBLEM = "checkout-errors"
BYPASS = ["metric_events_any", "metric_events_with_context"]

TRUTH = {
    "people_per_day": 20_000,
    "metrics": {
        "conversion": {"baseline_rate": 0.2},
        PROBLEM: {"baseline_rate": 0.02, "effects": {"bold": {"relative": 1.0}}},
    },
}
WORLD: dict[str, Any] = {
    "members": {"ada@example.com": {}},
    "projects": {
        "demo": {
            "randomization_units": ["user"],
            "context_kinds": ["device"],
            "environments": {"production": {}, "test": {}},
            "flags": {
                "checkout-button": {
                    "variations": ["classic", "bold", "loud"],
                    "on_in": ["production"],
                    "rules": {"people": {"clauses": [KIND]}, "visitors": {"clauses": [GERMANS]}},
                }
            },
            "metrics": {"conversion": {}, PROBLEM: {"better": "lower"}, "silent": {}},
            "metric_groups": {"health": {"metrics": {"conversion": {}, PROBLEM: {}}}},
            "truths": {"checkout-button": TRUTH},
            "release_plans": {
                "production": {
                    "careful": {
                        "randomizationUnit": "user",
                        "phases": [
                            {"clauses": [KIND, GERMANS], "steps": [{"allocation": 10_000, "durationMillis": DAY}]}
                        ],
                        "metrics": [{"metricGroupKey": "health", "autoRollback": True}],
                        "cleanupBehavior": "remove_rules_and_update_default_rule",
                    }
                }
            },
        }
    },
}


@pytest.fixture
def shop(emulator_with: StartEmulator) -> Caller:
    return emulator_with(world=WORLD)


def variations(shop: Caller) -> list[str]:
    return [variation["_id"] for variation in shop.flag()["variations"]]


def steps(*percents: int, days: float = 1) -> list[dict[str, int]]:
    return [{"allocation": percent * 1_000, "durationMillis": int(days * DAY)} for percent in percents]


def phase(*clauses: dict[str, Any], days: float = 1, percents: tuple[int, ...] = (10, 50)) -> dict[str, Any]:
    return {"clauses": [KIND, *clauses], "steps": steps(*percents, days=days)}


def body(shop: Caller, target: int = 1, **changes: Any) -> dict[str, Any]:
    ids = variations(shop)
    return {
        "originalVariationId": ids[0],
        "targetVariationId": ids[target],
        "randomizationUnit": "user",
        "phases": [phase(GERMANS)],
    } | changes


def guard(*keys: str, rolls_back: bool = False) -> list[dict[str, Any]]:
    return [{"metricKey": key, "autoRollback": rolls_back} for key in keys]


def start(shop: Caller, **changes: Any) -> dict[str, Any]:
    response = shop.post(RELEASES, body(shop, **changes))
    assert response.status_code == 201, response.text
    started: dict[str, Any] = response.json()
    return started


def read(shop: Caller, release: dict[str, Any], **query: str) -> dict[str, Any]:
    shown: dict[str, Any] = shop.get(f"{RELEASES}/{release['id']}", params=query).json()
    return shown


def stop(shop: Caller, release: dict[str, Any], resolution: str) -> httpx.Response:
    return shop.http.put(f"{RELEASES}/{release['id']}/stop", json={"resolution": resolution})


def iteration_on(shop: Caller, rule_id: str) -> dict[str, Any]:
    return shop.iteration(rule=rule_id, metrics=[{"key": "conversion"}], primarySingleMetricKey="conversion")


def state(release: dict[str, Any]) -> tuple[str, str | None]:
    return release["status"], release.get("statusReason")


def rule_of(shop: Caller, release: dict[str, Any], index: int = 0) -> dict[str, Any] | None:
    rule_id = release["phases"][index]["ruleId"]
    return next((rule for rule in shop.production()["rules"] if rule["_id"] == rule_id), None)


def test_a_progressive_release_goes_from_step_to_step_and_ends_on_the_target(shop: Caller) -> None:
    release = start(shop)

    assert (release["kind"], state(release)) == ("progressive", ("in_progress", None))
    rule = rule_of(shop, release)
    assert rule
    weights = [(v["variation"], v["weight"]) for v in rule["rollout"]["variations"]]
    assert weights == [(0, 90_000), (1, 10_000)]
    shop.server.clock.advance("P1D")
    assert read(shop, release)["phases"][0]["currentStepIndex"] == 1
    shop.server.clock.advance("P1D")
    ended = read(shop, release)
    assert state(ended) == ("completed", "completed_automatic")
    assert ended["endedAt"] - ended["startedAt"] == 2 * DAY
    assert ended["currentPhaseIndex"] is None
    rule = rule_of(shop, release)
    assert rule
    assert rule["variation"] == 1
    assert shop.production()["fallthrough"] == {"variation": 0}


def test_a_guarded_release_measures_as_many_of_the_original_as_of_the_target(shop: Caller) -> None:
    rule = rule_of(shop, start(shop, metrics=guard("conversion")))

    assert rule
    shares = [(v["variation"], v["weight"], v.get("_untracked", False)) for v in rule["rollout"]["variations"]]
    assert shares == [(0, 10_000, False), (1, 10_000, False), (0, 80_000, True)]
    assert rule["rollout"]["experimentAllocation"]["type"] == "measuredRollout"


def test_the_default_rule_takes_over_when_that_is_asked_for(shop: Caller) -> None:
    release = start(shop, cleanupBehavior="remove_rules_and_update_default_rule")
    shop.server.clock.advance("P2D")

    assert read(shop, release)["status"] == "completed"
    assert rule_of(shop, release) is None
    assert shop.production()["fallthrough"] == {"variation": 1}


def test_a_metric_that_is_worse_in_truth_reverts_the_release(shop: Caller) -> None:
    release = start(shop, metrics=guard("conversion", PROBLEM, rolls_back=True))
    shop.server.clock.advance("P2D")

    ended = read(shop, release)

    assert state(ended) == ("reverted", "reverted_regression_detected")
    assert ended["phases"][0]["metricStatuses"] == {"conversion": "ok", PROBLEM: "regressed"}
    rule = rule_of(shop, release)
    assert rule
    assert rule["variation"] == 0


def test_the_same_metric_is_good_for_a_variation_that_harms_nobody(shop: Caller) -> None:
    release = start(shop, target=2, metrics=guard(PROBLEM, rolls_back=True))
    shop.server.clock.advance("P2D")

    ended = read(shop, release)

    assert state(ended) == ("completed", "completed_automatic")
    assert ended["phases"][0]["metricStatuses"] == {PROBLEM: "ok"}


def test_without_automatic_rollback_a_regression_waits_until_it_is_dismissed(shop: Caller) -> None:
    release = start(shop, metrics=guard(PROBLEM))
    shop.server.clock.advance("P7D")
    waiting = read(shop, release)
    assert state(waiting) == ("waiting", "waiting_regression_detected")
    assert waiting["phases"][0]["currentStepIndex"] == 1

    shop.server.dismiss_regression(release["id"])

    going_on = read(shop, release)
    assert state(going_on) == ("in_progress", None)
    assert going_on["phases"][0]["metricStatuses"] == {PROBLEM: "regression_dismissed"}
    shop.server.clock.advance("P2D")
    assert state(read(shop, release)) == ("completed", "completed_automatic")


def test_what_happens_does_not_depend_on_how_often_somebody_looks(
    emulator_with: StartEmulator,
) -> None:
    seldom, often = emulator_with(world=WORLD), emulator_with(world=WORLD)
    rare, frequent = (start(shop, metrics=guard(PROBLEM, "conversion", rolls_back=True)) for shop in (seldom, often))
    for _ in range(48):
        often.server.clock.advance("PT1H")
        read(often, frequent)
    seldom.server.clock.advance("P2D")

    assert read(seldom, rare) == read(often, frequent)


def test_a_metric_without_an_event_has_no_state_and_reverts_at_the_end(shop: Caller) -> None:
    release = start(shop, metrics=guard("silent"), bypassHealthChecks=BYPASS)
    shop.server.clock.advance("P1D")
    assert read(shop, release)["phases"][0]["metricStatuses"] == {}
    shop.server.clock.advance("P1D")

    assert state(read(shop, release)) == ("reverted", "reverted_insufficient_data")


def test_a_switch_lets_a_release_complete_without_data(shop: Caller) -> None:
    shop.server.switch(release_without_data="complete")
    release = start(shop, metrics=guard("silent"), bypassHealthChecks=BYPASS)
    shop.server.clock.advance("P2D")

    ended = read(shop, release)

    assert state(ended) == ("completed", "completed_automatic")
    assert ended["phases"][0]["metricStatuses"] == {}


TWO = {"phases": [phase(GERMANS, percents=(50,)), phase(percents=(20,), days=2) | {"description": "everybody"}]}


def test_phases_follow_each_other_and_the_rules_of_later_ones_are_disabled(shop: Caller) -> None:
    # The clause of the second phase alone is that of an existing rule.
    two = {"phases": [TWO["phases"][0], {**TWO["phases"][1], "clauses": [KIND, GERMANS | {"negate": True}]}]}
    release = start(shop, advancementMode="automatic", **two)
    second = rule_of(shop, release, 1)
    assert second
    assert second["disabled"] is True
    assert second["description"] == "everybody"
    shop.server.clock.advance("P1D")

    shown = read(shop, release)

    assert (shown["currentPhaseIndex"], state(shown)) == (1, ("in_progress", None))
    second = rule_of(shop, release, 1)
    assert second
    assert "disabled" not in second


def test_the_controls_do_what_a_person_can_in_the_ui(shop: Caller) -> None:
    release = start(shop, metrics=guard(PROBLEM))
    control = f"{shop.server.url}/__emulator__/releases"
    early = shop.post(control, {"dismiss": release["id"]})
    assert (early.status_code, "nothing to dismiss" in early.json()["message"]) == (400, True)
    shop.server.clock.advance("P3D")

    assert shop.post(control, {"dismiss": release["id"]}).json()["status"] == "in_progress"
    assert shop.post(control, {"advance": release["id"]}).status_code == 400
    assert shop.post(control, {"dismiss": "unknown"}).status_code == 404
    assert shop.post(control, {"approve": release["id"]}).status_code == 400


def manual(shop: Caller) -> dict[str, Any]:
    second = {"clauses": [KIND, GERMANS | {"negate": True}], "steps": steps(20)}
    return start(shop, advancementMode="manual", phases=[TWO["phases"][0], second])


def test_a_manual_release_waits_between_its_phases(shop: Caller) -> None:
    release = manual(shop)
    shop.server.clock.advance("P3D")
    waiting = read(shop, release)
    assert state(waiting) == ("waiting", "waiting_phase_ended")
    assert waiting["currentPhaseIndex"] is None
    assert stop(shop, release, "roll_back_current_phase_and_remove_pending_phases").status_code == 400

    shop.server.advance_release(release["id"])
    shop.server.clock.advance("P1D")

    assert state(read(shop, release)) == ("completed", "completed_automatic")


@pytest.mark.parametrize(
    ("resolution", "expected", "served", "left"),
    [
        ("roll_forward_all_phases", ("completed", "completed_manual"), 1, 2),
        ("roll_forward_current_phase_and_remove_pending_phases", ("completed", "completed_manual"), 1, 1),
        ("roll_back_all_phases_and_remove_pending_phases", ("reverted", "reverted_manual"), 0, 1),
        ("roll_back_current_phase_and_remove_pending_phases", ("reverted", "reverted_manual"), 0, 1),
    ],
)
def test_a_stop_resolves_the_phases_and_is_safe_to_repeat(
    shop: Caller, resolution: str, expected: tuple[str, str], served: int, left: int
) -> None:
    release = manual(shop)

    stopped = stop(shop, release, resolution)

    assert stopped.status_code == 200
    assert state(stopped.json()) == expected
    rules = [rule for index in (0, 1) if (rule := rule_of(shop, release, index))]
    assert [rule["variation"] for rule in rules] == [served] * left
    assert stop(shop, release, "roll_forward_all_phases").json() == stopped.json()


def test_a_repeated_start_is_a_conflict_that_says_so(shop: Caller) -> None:
    start(shop)

    response = shop.post(RELEASES, body(shop))

    assert (response.status_code, response.json()["code"]) == (409, "release_already_active")


def test_failing_health_checks_are_listed_and_can_be_bypassed(shop: Caller) -> None:
    wanted = body(shop, metrics=guard("silent"))

    refused = shop.post(RELEASES, wanted)

    assert (refused.status_code, refused.json()["code"]) == (400, "health_checks_failed")
    assert [(check["kind"], check["metricKey"]) for check in refused.json()["failingChecks"]] == [
        ("metric_events_any", "silent"),
        ("metric_events_with_context", "silent"),
    ]
    half = shop.post(RELEASES, wanted | {"bypassHealthChecks": ["metric_events_any"]})
    assert [check["kind"] for check in half.json()["failingChecks"]] == ["metric_events_with_context"]
    assert shop.post(RELEASES, wanted | {"bypassHealthChecks": BYPASS}).status_code == 201


def test_a_kind_of_context_that_the_flag_is_not_evaluated_for_fails_its_check(shop: Caller) -> None:
    kind = {"contextKind": "device", "attribute": "kind", "op": "in", "values": ["device"]}
    wanted = body(shop, randomizationUnit="device", phases=[{"clauses": [kind], "steps": steps(10)}])

    refused = shop.post(RELEASES, wanted)

    assert [check["kind"] for check in refused.json()["failingChecks"]] == ["flag_evaluations_with_context"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"originalVariationId": "x"}, "no variation 'x'"),
        ({"randomizationUnit": "tenant"}, "no context kind 'tenant'"),
        ({"phases": []}, "at least one"),
        ({"phases": [phase(percents=(50, 10))]}, "greater than"),
        ({"phases": [phase(GERMANS, percents=(60,))], "metrics": guard("conversion")}, "50000"),
        ({"phases": [{"steps": steps(10)}]}, "exactly one of ruleId and clauses"),
        ({"phases": [{"ruleId": "fallthrough", "steps": steps(10)}]}, "no rule 'fallthrough'"),
        ({"phases": [{"clauses": [GERMANS], "steps": steps(10)}]}, "must include the clause"),
        ({"phases": [phase()]}, "exact duplicate of an existing rule at index 0"),
        ({"phases": [phase(GERMANS) | {"description": "people"}]}, "duplicate rule description"),
        ({"phases": [phase(GERMANS), phase(GERMANS, GERMANS)]}, "advancementMode"),
        ({"metrics": guard("health")}, "metric group"),
        ({"metrics": guard("unknown")}, "no metric"),
        ({"beforeRuleId": "x"}, "no rule 'x'"),
        ({"bypassHealthChecks": ["everything"]}, "'everything'"),
        ({"releasePlanKey": "careful"}, "omit randomizationUnit, phases"),
        ({"cleanupBehavior": "tidy"}, "must be one of"),
    ],
)
def test_a_wrong_start_is_refused_and_changes_nothing(shop: Caller, changes: dict[str, Any], words: str) -> None:
    before = shop.flag()

    response = shop.post(RELEASES, body(shop, **changes))

    assert response.status_code == 400
    assert words in response.json()["message"]
    assert shop.flag() == before
    assert shop.get(RELEASES).json()["items"] == []


def test_a_release_runs_on_an_existing_rule_that_nobody_else_may_change(shop: Caller) -> None:
    rule_id = shop.production()["rules"][0]["_id"]
    start(shop, phases=[{"ruleId": rule_id, "steps": steps(10)}])

    other = shop.patch_flag(
        {"kind": "updateRuleVariationOrRollout", "ruleId": rule_id, "variationId": variations(shop)[1]}
    )
    gone = shop.patch_flag({"kind": "removeRule", "ruleId": rule_id})
    shop.create(iteration=iteration_on(shop, rule_id))
    begun = shop.start()

    assert [response.status_code for response in (other, gone, begun)] == [409, 409, 409]
    assert "active release" in begun.json()["message"]


def test_a_rule_of_a_running_experiment_cannot_be_released(shop: Caller) -> None:
    rule_id = shop.production()["rules"][0]["_id"]
    shop.create(iteration=iteration_on(shop, rule_id))
    assert shop.start().status_code == 200

    assert shop.post(RELEASES, body(shop, phases=[{"ruleId": rule_id, "steps": steps(10)}])).status_code == 409


def test_turning_the_flag_off_discards_the_release(shop: Caller) -> None:
    release = start(shop)
    shop.patch_flag({"kind": "turnFlagOff"})

    assert state(read(shop, release)) == ("reverted", "reverted_discarded")
    assert shop.post(RELEASES, body(shop)).status_code == 409


def test_approvals_are_a_405(shop: Caller) -> None:
    release = start(shop)
    shop.server.switch(flag_approvals="everywhere")

    assert shop.post(RELEASES, body(shop)).status_code == 405
    assert stop(shop, release, "roll_forward_all_phases").status_code == 405


def test_a_person_starts_a_release_where_the_route_demands_an_approval(shop: Caller) -> None:
    shop.server.switch(flag_approvals="everywhere")

    release = shop.server.start_release("checkout-button", body(shop))

    assert state(read(shop, release)) == ("in_progress", None)
    assert shop.server.effects("release.started") == []  # no request caused it
    control = f"{shop.server.url}/__emulator__/releases"
    again: dict[str, Any] = {
        "start": body(shop),
        "flag": "checkout-button",
        "project": "demo",
        "environment": "production",
    }
    assert shop.post(control, again).json()["code"] == "release_already_active"
    shop.server.clock.advance("P2D")
    second = again["start"] | {"phases": [{"ruleId": release["phases"][0]["ruleId"], "steps": steps(20)}]}
    wrong = [{"project": "nowhere"}, {"environment": "nowhere"}, {"flag": "nowhere"}]
    assert [shop.post(control, again | place).status_code for place in wrong] == [404, 404, 404]
    assert [shop.post(control, again | place).status_code for place in ({"rule": "x"}, {"project": 1})] == [400, 400]
    assert shop.post(control, again | {"start": second}).status_code == 200


def test_a_plan_supplies_phases_and_the_metrics_of_its_groups(shop: Caller) -> None:
    ids = variations(shop)
    wanted = {"originalVariationId": ids[0], "targetVariationId": ids[2], "releasePlanKey": "careful"}

    release = shop.post(RELEASES, wanted).json()

    assert [metric["metricKey"] for metric in release["metrics"]] == ["conversion", PROBLEM]
    assert release["cleanupBehavior"] == "remove_rules_and_update_default_rule"
    shop.server.switch(release_plans="unavailable")
    assert shop.post(RELEASES, wanted).status_code == 422


def test_the_list_pages_through_one_moment_newest_first(shop: Caller) -> None:
    ids: list[str] = []
    for _ in range(3):
        release = start(shop, metrics=guard("conversion") if not ids else [])
        stop(shop, release, "roll_back_all_phases_and_remove_pending_phases")
        shop.patch_flag({"kind": "removeRule", "ruleId": release["phases"][0]["ruleId"]})
        shop.server.clock.advance("PT1H")
        ids.append(release["id"])

    first = shop.get(RELEASES, params={"limit": 2}).json()
    shop.server.clock.advance("PT1S")
    start(shop)
    second = shop.get(first["_links"]["next"]["href"]).json()

    assert [item["id"] for item in first["items"] + second["items"]] == ids[::-1]
    assert first["totalCount"] == second["totalCount"] == 3
    guarded = shop.get(RELEASES, params={"filter": 'kind equals "guarded"'}).json()
    assert [item["id"] for item in guarded["items"]] == ids[:1]
    assert shop.get(RELEASES, params={"filter": "status equals completed"}).status_code == 400
    assert shop.get(RELEASES, params={"limit": 101}).status_code == 400


def test_an_old_release_is_gone(shop: Caller) -> None:
    release = start(shop)
    shop.server.clock.advance("P93D")

    assert shop.get(f"{RELEASES}/{release['id']}").status_code == 404
    assert shop.get(RELEASES).json()["totalCount"] == 0
    assert stop(shop, release, "roll_forward_all_phases").status_code == 404


def test_a_release_needs_the_beta_header(shop: Caller) -> None:
    assert shop.get(RELEASES, headers={"LD-API-Version": "20240415"}).status_code == 403


def test_a_snapshot_keeps_releases_and_the_journal_says_what_happened(shop: Caller) -> None:
    release = start(shop, metrics=guard(PROBLEM))
    shop.server.clock.advance("P1D")
    before = read(shop, release, expand="metrics")
    taken = shop.server.snapshot()
    stop(shop, release, "roll_forward_all_phases")
    kinds = [effect["kind"] for effect in shop.server.effects()]

    shop.server.load(taken)

    assert read(shop, release, expand="metrics") == before
    assert before["metrics"][0]["definition"]["key"] == PROBLEM
    assert kinds == ["release.started", "flag.changed", "release.stopped", "flag.changed"]
