"""Ways through a page that a mouse does not take: axe-core's rules, and the Tab key."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

SEVERE = {"serious", "critical"}
FOCUSABLE = "a[href], button, input, select, textarea, summary, [tabindex]:not([tabindex='-1'])"
MOST_STOPS = 400


@cache
def axe() -> str:
    """Return the source of axe-core, which a package carries as a file."""
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")


def severe_findings(frame: Any) -> list[str]:
    """Return what axe-core finds serious or critical in a page or frame, a line each.

    Args:
        frame: A page or frame of playwright.
    """
    frame.evaluate(axe())
    found = frame.evaluate("axe.run(document, {resultTypes: ['violations'], iframes: false})")["violations"]
    return [
        f"{rule['impact']}: {rule['id']}: {node['html'][:200]}: {node['failureSummary']}"
        for rule in found
        if rule["impact"] in SEVERE
        for node in rule["nodes"]
    ]


def focusable(frame: Any) -> list[str]:
    """Return what the Tab key must reach in a page or frame, in the order of the document."""
    return list(
        frame.evaluate(
            """selector => [...document.querySelectorAll(selector)]
            .filter(part => !part.disabled && part.checkVisibility({visibilityProperty: true}))
            .map((part, number) => {
                part.dataset.stop = number;
                return number + ' ' + part.outerHTML.slice(0, 80);
            })""",
            FOCUSABLE,
        )
    )


def stops_of_tab(page: Any, frame: Any) -> list[str]:
    """Press Tab until it leaves a page or frame, or comes round; returns what had the focus, in order.

    Args:
        page: The page, whose keyboard is used.
        frame: The page or a frame in it.

    Raises:
        AssertionError: Something had the focus and did not show it.
    """
    expected = focusable(frame)
    frame.evaluate(
        "() => { window.focus(); document.activeElement?.blur(); getSelection().collapse(document.body, 0); }"
    )
    reached: list[str] = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        stop = frame.evaluate(
            """() => {
            const part = document.activeElement;
            if (!document.hasFocus() || !part || part.dataset.stop === undefined) return null;
            const style = getComputedStyle(part);
            const shown = style.outlineStyle !== 'none' || style.boxShadow !== 'none';
            return [Number(part.dataset.stop), shown];
        }"""
        )
        if stop is None or expected[stop[0]] in reached:
            break
        number, shown = stop
        assert shown, f"nothing shows that the focus is on {expected[number]}"
        reached.append(expected[number])
    return reached
