"""The HTML pages are public, correct and escaped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from support.emulator_caller import Caller


def page(api: Caller, path: str) -> httpx.Response:
    return httpx.get(f"{api.server.url}{path}")


def test_the_page_of_an_experiment_shows_its_iterations_and_what_the_flag_serves(api: Caller) -> None:
    api.running()
    running = page(api, "/projects/demo/experiments/bold?env=production")
    assert running.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "Bold button" in running.text
    assert "50 % Classic, 50 % Bold (experiment bold)" in running.text
    api.stop(api.treatments()[1]["_id"], winningReason="more sales")
    stopped = page(api, "/projects/demo/experiments/bold").text
    assert "Bold to everyone" in stopped
    assert "more sales" in stopped


def test_it_shows_rules_and_a_flag_that_is_off(api: Caller) -> None:
    rule = api.production("pricing-page")["rules"][0]["_id"]
    metrics = {"metrics": [{"key": "signup-form-opened"}], "primarySingleMetricKey": "signup-form-opened"}
    api.create(iteration=api.iteration("pricing-page", rule, **metrics))
    text = page(api, "/projects/demo/experiments/bold").text
    assert "German visitors" in text
    assert "is off: Present to everyone" in text


def test_everything_is_escaped(api: Caller) -> None:
    attack = "<script>alert(1)</script>"
    api.turn_on()
    iteration = api.iteration()
    iteration["treatments"][1]["name"] = attack
    api.running(iteration=iteration, name=attack, description=attack)
    api.stop(api.treatments()[1]["_id"], winningReason=attack)
    for path in ("/projects/demo/experiments/bold", "/"):
        response = page(api, path)
        assert "<script" not in response.text
        assert "&lt;script&gt;" in response.text
        assert "default-src 'none'" in response.headers["Content-Security-Policy"]


def test_the_first_page_lists_all_experiments(api: Caller) -> None:
    assert "No experiment has been created yet" in page(api, "/").text
    api.create()
    assert 'href="/projects/demo/experiments/bold?env=production"' in page(api, "/").text


def test_the_page_of_an_unknown_experiment_is_a_404_and_lists_all_experiments(api: Caller) -> None:
    api.create()
    for path in ("/projects/demo/experiments/x", "/projects/x/experiments/bold"):
        assert page(api, path).status_code == 404
    assert page(api, "/projects/demo/experiments/bold?env=test").status_code == 404
