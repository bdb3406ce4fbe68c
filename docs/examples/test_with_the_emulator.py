"""A test suite that uses the provider's pytest fixtures."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_launchdarkly import LaunchDarklyHook

WORLD = Path(__file__).with_name("world.yaml")


def test_the_connection_leads_to_the_emulator(launchdarkly_connection):
    flag = LaunchDarklyHook(launchdarkly_connection).get_flag("checkout-button")

    assert [variation.name for variation in flag.variations] == ["Classic", "Bold"]


@pytest.mark.launchdarkly(world=WORLD)
def test_the_emulator_can_serve_another_world(launchdarkly_connection):
    flag = LaunchDarklyHook(launchdarkly_connection).get_flag("delivery-promise")

    assert flag.environments["production"].on


def test_the_hook_waits_for_a_rate_limit(launchdarkly_emulator, launchdarkly_connection):
    launchdarkly_emulator.fault("get_feature_flag", "status", limit="retry-after", wait=0.1)

    LaunchDarklyHook(launchdarkly_connection).get_flag("checkout-button")

    assert [line.status for line in launchdarkly_emulator.requests()] == [429, 200]


def test_four_weeks_pass_at_once(launchdarkly_clock):
    before = launchdarkly_clock.now()

    launchdarkly_clock.advance("P28D")

    assert (launchdarkly_clock.now() - before).days == 28
