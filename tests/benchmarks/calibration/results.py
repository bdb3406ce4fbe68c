"""The figures of a calibration: as a file, as tables for people, and what is beyond its bar."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from calibration.cells import ROLLBACK, SHIP, Bar, Key, Row

DOCS = Path(__file__).parents[3] / "docs" / "concepts"
FILE, PAGE = DOCS / "promise.json", DOCS / "how-we-decide.md"

SHOWN = {"ratio": "{:.3f}", "days": "{:.1f}", "seconds": "{:.1f}"}


@dataclass
class Result:
    """The figures of a row.

    Attributes:
        part: The part of the table.
        row: The row.
        values: Each figure.
        experiments: How many experiments they are from.
    """

    part: str
    row: Row
    values: dict[str, float] = field(default_factory=dict)
    experiments: int = 0

    def beyond(self, name: str) -> bool:
        """Whether a figure is beyond its bar."""
        bar = self.row.bars.get(name)
        return bar is not None and name in self.values and not bar.holds(self.values[name], self.experiments)

    @property
    def place(self) -> str:
        """The row, for people."""
        return ", ".join(part for part in (self.row.world, self.row.column, self.row.rule) if part)

    def failures(self) -> list[str]:
        """A sentence for each promised figure that is beyond its bar, and for each that is missing."""
        if self.row.unpromised:
            return []
        found = [
            f"{self.part}: {self.place}: {name} was not measured" for name in self.row.bars if name not in self.values
        ]
        for name, bar in self.row.bars.items():
            if bar is not None and self.beyond(name):
                limit = limits(bar, self.experiments)
                found.append(f"{self.part}: {self.place}: {name} is {shown(self.values[name], bar)}, its bar {limit}")
        return found

    def to_json(self) -> dict[str, Any]:
        """The row as plain JSON; figures to four digits, as they are compared with their bars."""
        return {
            "part": self.part,
            "world": self.row.world,
            "column": self.row.column,
            "rule": self.row.rule,
            "experiments": self.experiments,
            "unpromised": self.row.unpromised,
            "values": {name: round(value, 4) for name, value in self.values.items()},
            "bars": {
                name: None if bar is None else [bar.limit, bar.at_most, bar.unit, bar.sampled, bar.least]
                for name, bar in self.row.bars.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Result:
        """Read it back."""
        bars = {name: None if bar is None else Bar(*bar) for name, bar in value["bars"].items()}
        row = Row(value["world"], value["column"], value["rule"], bars, value["unpromised"])
        return cls(value["part"], row, dict(value["values"]), value["experiments"])


def shown(value: float, bar: Bar | None) -> str:
    """A figure for people."""
    unit = "share" if bar is None else bar.unit
    return f"{100 * value:.2f} %" if unit == "share" else SHOWN[unit].format(value)


def limits(bar: Bar | None, experiments: int) -> str:
    """A bar for people; nothing for a figure that is only shown."""
    if bar is None:
        return ""
    limit = shown(bar.of(experiments), bar)
    if bar.least is not None:
        return f"{shown(bar.least, bar)} to {limit}"
    return f"{'≤' if bar.at_most else '≥'} {limit}"


def write(order: Sequence[tuple[str, Key]], results: Sequence[Result], presets: Sequence[Mapping[str, Any]]) -> None:
    """Write the file, and the page's tables from it.

    Args:
        order: Part and key of every row. Rows that were not measured now are kept as the file has them.
        results: The rows that were measured.
        presets: What each preset costs; none keeps those of the file.
    """
    before, known = read()
    rows = {(result.part, result.row.key): result for result in (*before, *results)}
    kept = [rows[place].to_json() for place in order if place in rows]
    # One row to a line, so that a change shows what it changed.
    lists = [
        f'"{name}": [\n' + ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries) + "\n]"
        for name, entries in {"rows": kept, "presets": presets or known}.items()
    ]
    FILE.write_text("{" + ",\n".join(lists) + "}\n", encoding="utf-8")
    write_page()


def read() -> tuple[list[Result], list[dict[str, Any]]]:
    """Read the file: the rows, and the presets."""
    content = json.loads(FILE.read_text(encoding="utf-8"))
    return [Result.from_json(row) for row in content["rows"]], content["presets"]


def write_page() -> None:
    """Write the tables of the page from the file."""
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


def page(text: str) -> str:
    """Return a page with its tables as the file has them."""
    results, presets = read()
    text = between_marks(text, "promise", summary(results))
    text = between_marks(text, "measured", "\n\n".join(tables(results)))
    return between_marks(text, "presets", preset_table(presets))


def between_marks(text: str, name: str, content: str) -> str:
    """Put something between the marks of a page."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, rest = text.split(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.split(end)[1]}"


def summary(results: Sequence[Result]) -> str:
    """The promise in short: the worst errors of each part, the other figures, and what is not promised."""
    errors = ["| where | rows | worst false ship | worst false rollback | holds |", "|---|---|---|---|---|"]
    for part, rows in _parts(results).items():
        promised = [row for row in rows if not row.row.unpromised and SHIP in row.row.bars]
        if promised:
            worst = [_worst(promised, name) for name in (SHIP, ROLLBACK)]
            holds = "no" if any(row.failures() for row in promised) else "yes"
            errors.append(f"| {part} | {len(promised)} | {worst[0]} | {worst[1]} | {holds} |")
    without = ["| not promised | false ship | false rollback | why |", "|---|---|---|---|"]
    for row in results:
        if row.row.unpromised:
            figures = f"{_figure(row, SHIP)} | {_figure(row, ROLLBACK)}"
            without.append(f"| {row.place} | {figures} | {row.row.unpromised} |")
    listed = [_listed(part, others) for part, rows in _parts(results).items() if (others := _others(rows))]
    found = ["\n".join(table) for table in (errors, without) if len(table) > 2]
    return "\n\n".join([*found[:1], *listed, *found[1:]])


def _others(rows: Sequence[Result]) -> list[Result]:
    return [row for row in rows if set(row.row.bars) - {SHIP, ROLLBACK}]


def tables(results: Sequence[Result]) -> list[str]:
    """Both errors of every row: a table for each part."""
    parts = {
        part: [row for row in rows if SHIP in row.row.bars and ROLLBACK in row.row.bars]
        for part, rows in _parts(results).items()
    }
    return [_crossed(part, rows) for part, rows in parts.items() if rows]


def _crossed(part: str, rows: Sequence[Result]) -> str:
    columns = list(dict.fromkeys(row.row.column for row in rows))
    lines = [f"| {part} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for world in dict.fromkeys(row.row.world for row in rows):
        cells = []
        for column in columns:
            here = [row for row in rows if (row.row.world, row.row.column) == (world, column)]
            cells.append(" / ".join(_largest(here, name) for name in (SHIP, ROLLBACK)) + " %" if here else "")
        lines.append(f"| {world} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _listed(part: str, rows: Sequence[Result]) -> str:
    lines = [f"| {part} | rule | measured | bar |", "|---|---|---|---|"]
    for row in rows:
        rule = ", ".join(text for text in (row.row.column, row.row.rule) if text)
        for name, bar in row.row.bars.items():
            if name in (SHIP, ROLLBACK) and {SHIP, ROLLBACK} <= set(row.row.bars):
                continue
            limit = limits(bar, row.experiments)
            value = _bold(shown(row.values[name], bar), row.beyond(name))
            lines.append(f"| {row.row.world}: {name} | {rule} | {value} | {limit} |")
    return "\n".join(lines)


def _largest(rows: Sequence[Result], name: str) -> str:
    worst = max(rows, key=lambda row: row.values[name])
    return _bold(f"{100 * worst.values[name]:.2f}", worst.beyond(name))


def _worst(rows: Sequence[Result], name: str) -> str:
    worst = max(rows, key=lambda row: row.values[name])
    return f"{_figure(worst, name)} ({worst.place})"


def _figure(row: Result, name: str) -> str:
    if name not in row.values:
        return ""
    return _bold(shown(row.values[name], row.row.bars[name]), row.beyond(name))


def _bold(text: str, beyond: bool) -> str:
    return f"**{text}**" if beyond else text


def _parts(results: Iterable[Result]) -> dict[str, list[Result]]:
    found: dict[str, list[Result]] = {}
    for result in results:
        found.setdefault(result.part, []).append(result)
    return found


def preset_table(presets: Sequence[Mapping[str, Any]]) -> str:
    """What each preset costs."""
    lines = [
        "| preset | false ship | false rollback | power | mean days with it | harm found | observed over true lift |",
        "|---|---|---|---|---|---|---|",
    ]
    for preset in presets:
        curse = preset["winners_curse"]
        figures = [f"{100 * preset[name]:.1f} %" for name in ("false_ship", "false_rollback", "power")]
        figures += [f"{preset['mean_stop_day']:.1f}", f"{100 * preset['harm_found']:.1f} %"]
        figures.append("" if curse is None else f"{curse:.2f}")
        lines.append(f"| `{preset['preset']}` | {' | '.join(figures)} |")
    return "\n".join(lines)
