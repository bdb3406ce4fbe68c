"""The page that `simulate --report` writes: what a policy costs, with the look of a decision record's report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly._version import __version__
from airflow_provider_launchdarkly.pictures.markup import element, table
from airflow_provider_launchdarkly.pictures.report import document
from airflow_provider_launchdarkly.pictures.simulation import SimulatedPlan, ends_figure, paths_figure
from airflow_provider_launchdarkly.simulation.drawn import bounds_of, days_of, endings_by_look
from airflow_provider_launchdarkly.views.explanations import policy_in_words, to_come

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.pictures.markup import Markup
    from airflow_provider_launchdarkly.simulation.report import Scenario, Simulation

_MOST_PATHS = 20


def simulation_page(
    policy: Policy,
    scenario: Scenario,
    simulation: Simulation,
    measures: Iterable[tuple[str, str]],
    *,
    concerns: Sequence[str] = (),
    exceeded: Sequence[str] = (),
) -> str:
    """Return the page.

    Args:
        policy: The simulated policy.
        scenario: What it was tried on.
        simulation: The simulation.
        measures: The measures with their names; a truth is one without a value.
        concerns: What to mind about the policy.
        exceeded: The budgets that it exceeds.
    """
    report, days = simulation.report, days_of(simulation)
    effect = f"{100 * report.effect:+.2f} %"
    headline = (
        f"Ships an effect of {effect} in {100 * report.power:.1f} % of experiments, which take "
        f"{report.mean_stop_day:.1f} days on average. Ships what changes nothing in {100 * report.false_ship:.1f} %."
    )
    traffic = scenario.traffic
    tried = (
        f"Tried on {report.experiments:,} simulated experiments for each truth, split {scenario.allocation}, with "
        f"{traffic.units_per_day:,.4g} units a day and a mean of {traffic.mean:g}; seed {scenario.seed}."
    )
    return document(
        "What the policy costs",
        element("h1", "What the policy costs"),
        element(
            "section",
            element("p", element("strong", headline)),
            element("p", tried),
            class_=f"ld-banner ld-is-{'bad' if exceeded else 'wait'}",
            aria_label="in short",
        ),
        *_listed("Exceeded budgets", exceeded),
        *_listed("Mind", concerns),
        element("h2", "Measures"),
        table(("measure", "value, ± two standard errors"), _rows(measures), caption="Measures"),
        element("h2", "Over the days"),
        paths_figure(_plan(policy, scenario, simulation)),
        ends_figure(days, endings_by_look(simulation, effect=True), title=f"When experiments with {effect} end"),
        ends_figure(days, endings_by_look(simulation, effect=False), title="When experiments without an effect end"),
        *_listed("How it decides", policy_in_words(policy)),
        *_listed("What each ending takes", to_come(policy, None)),
        element("p", f"Simulated by airflow-provider-launchdarkly {__version__}.", class_="ld-soft"),
    )


def _plan(policy: Policy, scenario: Scenario, simulation: Simulation) -> SimulatedPlan:
    bounds, days = bounds_of(policy, simulation, scenario.allocation), days_of(simulation)
    without, lifted = (
        [[round(float(z), 3) for z in path] for path in paths[:_MOST_PATHS]] for paths in simulation.paths
    )
    if bounds is None:
        return SimulatedPlan(days, (), (), without, lifted, days[-1])
    ship = [z if may else None for z, may in zip(bounds.ship, bounds.ships, strict=True)]
    return SimulatedPlan(days, ship, bounds.harm, without, lifted, bounds.days[-1])


def _rows(measures: Iterable[tuple[str, str]]) -> Iterable[tuple[str, str]]:
    truth = ""
    for name, value in measures:
        if not value:
            truth = name
        else:
            yield f"{truth}: {name.strip()}", " ".join(value.split())


def _listed(title: str, sentences: Sequence[str]) -> Iterable[Markup]:
    if sentences:
        yield element("h2", title)
        yield element("ul", *(element("li", sentence) for sentence in sentences), class_="ld-list")
