"""Charts of a simulated policy."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from airflow_provider_launchdarkly.pictures.simulation import SimulatedPlan, ends_figure, paths_figure

SVG = "{http://www.w3.org/2000/svg}"
PLAN = SimulatedPlan([1.0, 2.0, 3.0], [None, 3.0, 2.0], [-9.0, -3.0, -2.5], [[0.1, 0.2, 0.3]], [[1.0, 2.0, 9.0]], 2.0)


def test_boundaries_are_drawn_where_something_may_ship_and_within_reach() -> None:
    figure = ET.fromstring(paths_figure(PLAN))
    lines = {line.get("class"): line.get("points", "").split() for line in figure.iter(f"{SVG}polyline")}
    assert len(lines["ld-ship"]) == 2
    assert len(lines["ld-harm"]) == 2
    rows = [["".join(cell.itertext()) for cell in row] for row in figure.findall("details/div/table/tbody/tr")]
    assert rows == [["1", "1", "-", "-9.00"], ["2", "2", "3.00", "-3.00"], ["3", "3", "2.00", "-2.50"]]
    assert "end of the plan" in "".join(figure.itertext())


def test_endings_by_day_are_stacked_to_their_sum() -> None:
    ends = {"ship": [0.0, 0.2, 0.3], "rollback": [0.1, 0.0, 0.0], "inconclusive": [0.0, 0.0, 0.4], "invalid": [0.0] * 3}
    figure = ET.fromstring(ends_figure([1.0, 2.0, 3.0], ends, title="When they end"))
    bars = [(float(str(rect.get("x"))), float(str(rect.get("height")))) for rect in figure.iter(f"{SVG}rect")]
    assert len(bars) == 4
    heights = {x: sum(height for place, height in bars if place == x) for x, _ in bars}
    first, second, third = (heights[x] for x in sorted(heights))
    assert abs(second / first - 2.0) < 0.01
    assert abs(third / first - 7.0) < 0.01
    assert "50 % ship (green), 10 % rollback (red), 40 % inconclusive (grey)" in "".join(figure.itertext())
