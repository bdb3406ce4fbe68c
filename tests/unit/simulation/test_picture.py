"""The picture of a simulation shows the boundary of the plan that was simulated."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from airflow_provider_launchdarkly.decision.allocation import EVEN
from airflow_provider_launchdarkly.decision.policy import Policy
from airflow_provider_launchdarkly.simulation import picture
from airflow_provider_launchdarkly.simulation.report import Scenario, simulate


@pytest.mark.parametrize(("planned", "last_day"), [(None, 28), (20_000, 10), (200_000, 28)])
def test_the_boundary_ends_where_the_plan_ends(planned: int | None, last_day: int) -> None:
    policy = Policy(planned_units=planned)
    simulation = simulate(policy, Scenario(experiments=200))
    axes = Figure().subplots()
    picture._draw_paths(axes, policy, simulation, EVEN)
    drawn = {line.get_label(): line for line in axes.get_lines()}
    days, ship = (np.asarray(values, dtype=float) for values in drawn["ship"].get_data())
    assert days[0] == 7.0
    assert days[-1] == pytest.approx(last_day, abs=1)
    boundary = simulation.schedule.ship_boundary(0.05, policy.ship_spending)
    shares = simulation.shares[6 : int(days[-1])]
    assert ship == pytest.approx([boundary.at(float(share)) for share in shares])
    if planned == 20_000:
        # By units the eighth day has four times the share that it has by the clock of 28 days.
        assert shares[1] == pytest.approx(0.8, abs=0.01)
