"""Replace a project's randomization units (LaunchDarkly REST docs, Update experimentation settings)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import invalid_request
from airflow_provider_launchdarkly.emulator.state.models import RandomizationUnit

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction

STANDARD_UNITS = ("guest", "guestTime", "organization", "request", "user", "userTime")


def put(transaction: Transaction, body: RequestBody) -> None:
    """Replace the whole list of units, of which at most one is the default.

    `standardRandomizationUnit` is required up to client 17.2, and deprecated and optional in 25.
    """
    units = tuple(_unit(transaction, item) for item in body.objects("randomizationUnits"))
    keys = [unit.key for unit in units]
    if len(set(keys)) < len(keys):
        raise invalid_request("randomizationUnits names a unit twice")
    if sum(unit.default for unit in units) > 1:
        raise invalid_request("randomizationUnits: a project has one default at most")
    if units != transaction.randomization_units:
        transaction.put_randomization_units(units)
        transaction.record("experimentation_settings.changed", randomization_units=keys)


def _unit(transaction: Transaction, item: RequestBody) -> RandomizationUnit:
    key = item.text("randomizationUnit")
    if key not in transaction.project.context_kinds:
        known = ", ".join(transaction.project.context_kinds)
        raise invalid_request(f"{item.path('randomizationUnit')}: there is no context kind {key!r}, only {known}")
    if transaction.settings.api.has_standard_units:
        item.text("standardRandomizationUnit")
    standard = item.choice("standardRandomizationUnit", STANDARD_UNITS, "user")
    return RandomizationUnit(key, item.flag("default", default=False), standard)
