"""Charts: well-formed, named, with the table behind them, and drawn whatever the numbers are."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_launchdarkly.pictures.lift_chart import effects_figure, lift_figure, points_of
from airflow_provider_launchdarkly.pictures.lists import ladder, share_bar, timeline
from airflow_provider_launchdarkly.pictures.theme import SERIES, STYLE
from airflow_provider_launchdarkly.pictures.units_chart import units_figure
from airflow_provider_launchdarkly.pictures.z_chart import bar_in_words, harm_progress, ship_progress, z_bar, z_figure
from airflow_provider_launchdarkly.views.model import Comparison, Happening, Look, MetricAtLook, Share, SplitTest
from support.looks import EVIL, GUARDRAIL, PRIMARY, START, compared, detail, guarded, look, planned

SVG = "{http://www.w3.org/2000/svg}"
LOOKS = [look(number) for number in range(1, 9)]
MANY = tuple(f"T{number}" for number in range(12))


def read(markup: str) -> ET.Element:
    return ET.fromstring(markup)


def numbers_in(markup: str) -> list[float]:
    """Every coordinate that is drawn."""
    drawn = re.findall(r' (?:x1|x2|y1|y2|x|y|width|height)="([^"]*)"', markup)
    drawn += [part for points in re.findall(r'points="([^"]*)"', markup) for part in re.split("[ ,]", points)]
    return [float(part) for part in drawn]


def with_numbers(**changes: float | None) -> list[Look]:
    """Looks whose primary comparison has these numbers."""
    odd = replace(compared(3), **changes)  # type: ignore[arg-type]
    metrics = (replace(LOOKS[2].metrics[0], comparisons=(odd,)), LOOKS[2].metrics[1])
    return [*LOOKS[:2], replace(LOOKS[2], metrics=metrics)]


CHARTS: dict[str, Callable[[list[Look]], str]] = {
    "lift": lambda looks: lift_figure(looks, PRIMARY, "Bold", end=28.0),
    "guardrail": lambda looks: lift_figure(looks, GUARDRAIL, "Bold", end=28.0),
    "z": lambda looks: z_figure(looks, PRIMARY, ["Bold"], planned=planned(), waiting=True),
    "effects": lambda looks: effects_figure(looks[-1]) if looks else effects_figure(replace(LOOKS[0], metrics=())),
    "units": lambda looks: units_figure(looks[-1].split if looks else None),
}


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("looks", [LOOKS, LOOKS[:1], []], ids=["eight looks", "one look", "no look"])
def test_a_chart_is_an_image_with_name_description_and_focus(chart: str, looks: list[Look]) -> None:
    figure = read(CHARTS[chart](looks))
    (picture,) = figure.findall(f"{SVG}svg")
    assert (picture.get("role"), picture.get("tabindex")) == ("img", "0")
    named = {element.get("id"): element.text for element in picture if element.get("id")}
    assert named[picture.get("aria-labelledby")] == str(figure.findtext("figcaption"))
    assert named[picture.get("aria-describedby")]
    assert (figure.find("details") is not None) == bool(figure.findall("details/div/table/tbody/tr"))


@pytest.mark.parametrize("chart", ["lift", "guardrail", "z"])
def test_the_table_behind_a_chart_has_every_look(chart: str) -> None:
    rows = read(CHARTS[chart](LOOKS)).findall("details/div/table/tbody/tr")
    firsts = [row.findtext("th") for row in rows]
    assert firsts[:8] == [str(number) for number in range(1, 9)]
    assert firsts[8:] == ([f"{number}, planned" for number in range(9, 29)] if chart == "z" else [])


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize(
    "numbers",
    [
        {"lift": None, "z": None, "lower": None, "upper": None},
        {"lower": None, "upper": None},
        {"lower": -math.inf, "upper": math.inf},
        {"lift": -0.5, "lower": -0.9, "upper": -0.1, "z": -4.0, "harm_z": 4.0},
        {"lift": 0.0, "lower": 0.0, "upper": 0.0, "z": 0.0},
        {"lift": 1e9, "lower": -1e12, "upper": 1e12, "z": 1e6},
        {"boundary": None, "harm_boundary": None},
        {"boundary": math.inf},
        {"lift": math.nan, "z": math.nan},
        {"units": 10**15, "baseline_units": 10**15},
    ],
    ids=str,
)
def test_odd_numbers_are_drawn_within_the_picture(chart: str, numbers: dict[str, float | None]) -> None:
    markup = CHARTS[chart](with_numbers(**numbers))
    read(markup)
    assert "nan" not in markup
    assert "inf" not in markup.replace("information", "")
    assert all(-20.0 <= place <= 780.0 for place in numbers_in(markup))


FLOATS = st.one_of(st.none(), st.floats())


@example(values=[(None, None, 1.4381545078898528e308, None, None, None)], lower_is_better=False)
@example(values=[(None, None, None, 1.5000000005000003e308, None, None)], lower_is_better=False)
@example(values=[(5e-324, 0.0, 1.5e-323, 5e-324, 1e-323, None)], lower_is_better=True)
@given(
    values=st.lists(st.tuples(FLOATS, FLOATS, FLOATS, FLOATS, FLOATS, FLOATS), min_size=1, max_size=4),
    lower_is_better=st.booleans(),
)
def test_any_numbers_are_drawn_within_the_picture(
    values: list[tuple[float | None, ...]], lower_is_better: bool
) -> None:
    looks = []
    for number, (lift, lower, upper, z, boundary, harm_z) in enumerate(values, start=1):
        odd = Comparison("Bold", 1, 1, lift, lower, upper, 0.9, z, boundary, harm_z, 3.0)
        metric = MetricAtLook(PRIMARY, "primary", "lower" if lower_is_better else "higher", 0.0, (odd,))
        looks.append(replace(look(number), metrics=(metric,)))
    for chart in ("lift", "z", "effects"):
        markup = CHARTS[chart](looks)
        read(markup)
        assert all(-20.0 <= place <= 780.0 for place in numbers_in(markup))


@pytest.mark.parametrize("chart", CHARTS)
def test_no_name_becomes_markup(chart: str) -> None:
    looks = [
        replace(each, metrics=tuple(replace(metric, metric=EVIL) for metric in each.metrics))
        for each in (look(number, EVIL) for number in (1, 2))
    ]
    markup = {
        "lift": lambda: lift_figure(looks, EVIL, EVIL),
        "guardrail": lambda: lift_figure(looks, EVIL, EVIL, series=3),
        "z": lambda: z_figure(looks, EVIL, [EVIL]),
        "effects": lambda: effects_figure(looks[-1]),
        "units": lambda: units_figure(looks[-1].split),
    }[chart]()
    assert "<img" not in markup
    tags = {element.tag.rpartition("}")[2] for element in read(markup).iter()}
    assert tags <= {
        *("figure", "figcaption", "div", "svg", "title", "desc", "line", "text", "polyline", "polygon", "path", "g"),
        *("rect", "details", "summary", "table", "caption", "thead", "tbody", "tr", "th", "td"),
    }


def test_a_boundary_is_reached_where_the_lift_is_beyond_the_line() -> None:
    # The line is where the interval's worse end would be at no difference: that is what the boundary means.
    for number in range(1, 25):
        (point,) = points_of([look(number)], PRIMARY, "Bold")
        assert point.ships_at is not None
        assert ((point.compared.lift or 0.0) >= point.ships_at) == point.compared.better
        assert point.harms_at is not None
        assert point.harms_at < 0 < point.ships_at


@pytest.mark.parametrize("lift", [0.004, 0.049, 0.2, -0.1])
def test_a_guardrail_is_rolled_back_beyond_its_margin_and_the_boundary(lift: float) -> None:
    metric = MetricAtLook(GUARDRAIL, "guardrail", "lower", 0.05, (guarded(4, lift=lift),))
    (point,) = points_of([replace(look(4), metrics=(metric,))], GUARDRAIL, "Bold")
    assert point.ships_at is None
    # Three standard errors of 0.01 beyond the 5 % that may be lost; a lower value is better.
    assert point.harms_at == pytest.approx(0.08)


def test_twelve_treatments_each_have_a_row_and_a_mark_of_their_own() -> None:
    crowd = look(5, *MANY)
    figure = read(effects_figure(crowd, series=MANY))
    groups = [group for group in figure.iter(f"{SVG}g") if str(group.get("class")).startswith("ld-s")]
    assert len(groups) == 24
    marks = set()
    for group in groups[:12]:
        (mark,) = (path for path in group.findall(f"{SVG}path"))
        marks.add((group.get("class"), mark.get("d")))
    assert len(marks) == 12
    assert len(read(units_figure(crowd.split)).findall("details/div/table/tbody/tr")) == 13
    assert SERIES >= 8


def test_better_is_on_the_right_whatever_the_direction() -> None:
    lower = MetricAtLook(GUARDRAIL, "guardrail", "lower", 0.0, (guarded(4, lift=-0.05),))
    higher = replace(lower, direction="higher")
    places = []
    for metric in (lower, higher):
        figure = read(effects_figure(replace(look(4), metrics=(metric,))))
        (zero,) = (line for line in figure.iter(f"{SVG}line") if line.get("class") == "ld-zero")
        (mark,) = (path for path in figure.iter(f"{SVG}path"))
        at = float(str(mark.get("transform")).removeprefix("translate(").partition(" ")[0])
        places.append(at - float(str(zero.get("x1"))))
    assert places[0] > 0 > places[1]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, "z 1.04 of 3.50"),
        ({"harmed": True, "harm_z": 3.4}, "harmed: z 3.40 of 3.00"),
        ({"boundary": None}, "z 1.04, nothing ships yet"),
        ({"z": None}, "no data yet"),
    ],
)
def test_the_small_bar_says_what_it_shows(changes: dict[str, float | None], words: str) -> None:
    shown = replace(compared(5), **changes)  # type: ignore[arg-type]
    assert bar_in_words(shown) == words
    bar = read(z_bar(shown))
    assert (bar.get("role"), bar.get("aria-label"), bar.findtext(f"{SVG}title")) == ("img", words, words)
    assert bar_in_words(None) == read(z_bar(None)).get("aria-label") == "no look yet"


@given(FLOATS, FLOATS, FLOATS)
def test_progress_is_a_number_with_the_sign_of_z(z: float | None, harm_z: float | None, boundary: float | None) -> None:
    shown = Comparison("Bold", 1, 1, z=z, boundary=boundary, harm_z=harm_z, harm_boundary=3.0)
    assert math.isfinite(harm_progress(shown))
    assert ship_progress(shown) * (z if z is not None and math.isfinite(z) else 0.0) >= 0.0
    assert all(0.0 <= place <= 140.0 for place in numbers_in(z_bar(shown)))


def test_a_wrong_split_is_told_in_words() -> None:
    split = SplitTest(("Classic", "Bold"), (6000, 4000), (50.0, 50.0), 1e-9, 0.01, mismatch=True)
    text = "".join(read(units_figure(split)).itertext())
    assert "People are not divided as allocated" in text
    assert "6,000, 60 %" in text


def test_the_current_stage_is_told_to_everyone() -> None:
    steps = read(ladder(detail().summary.stages)).findall("li")
    assert [step.get("aria-current") for step in steps] == [None, "step", None]
    assert "".join(steps[0].itertext()) == "canary · 90 % Classic, 10 % Bold · up to 3 days (done)"
    assert "".join(steps[2].itertext()) == "half · a person is asked first (to come)"


def test_shares_are_drawn_and_said() -> None:
    bar = read(share_bar((Share("Bold", 25.0), Share("Classic", 75.0, baseline=True))))
    assert bar.get("aria-label") == "25 % Bold, 75 % Classic"
    widths = [float(str(rect.get("width"))) for rect in bar.iter(f"{SVG}rect")]
    assert widths == [99.0, 33.0]
    assert read(share_bar((Share("Classic", 100.0, baseline=True),))).get("aria-label") == "everyone gets Classic"
    assert read(share_bar(())).get("aria-label") == "not known"


def test_the_timeline_has_instants_that_a_page_can_show_in_any_zone() -> None:
    entries = read(timeline((Happening(START, EVIL, who="ada"), Happening(None, "later", ahead=True)))).findall("li")
    assert entries[0].find("time").get("datetime") == "2026-11-17T09:00:00+00:00"  # type: ignore[union-attr]
    assert "".join(entries[0].itertext()).endswith(", by ada")
    assert (entries[1].find("time"), entries[1].get("class")) == (None, "ld-ahead")


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_every_colour_of_text_can_be_read_on_its_ground() -> None:
    light, dark = (dict(re.findall(r"--ld-(\w+):(#\w{6})", part)) for part in STYLE.split("@media (prefers")[:2])
    for colours in (light, dark):
        assert len(colours) > 12
        for name in set(colours) - {"bg", "panel", "line"}:
            for ground in ("bg", "panel"):
                high, low = sorted((luminance(colours[name]), luminance(colours[ground])), reverse=True)
                least = 3.0 if name == "axis" else 4.5
                assert (high + 0.05) / (low + 0.05) >= least, f"{name} on {ground}"
