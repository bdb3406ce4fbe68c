"""How everything that this package draws looks: one set of colours, in light, in dark and in print.

Every class begins with ``ld-``, and no rule reaches beyond them, so the sheet fits into any page. Colours differ in
brightness too, and nothing is told by colour alone. Contrast of text is at least 4.5 to 1 (WCAG 2.2, 1.4.3), that of
lines 3 to 1 (1.4.11).
"""

from __future__ import annotations

# Eight that stay apart for colour-blind eyes, after Okabe and Ito ("Color Universal Design", 2008), darkened for white.
_SERIES_LIGHT = ("#1d4ed8", "#b45309", "#0f766e", "#a21caf", "#4d7c0f", "#be123c", "#0369a1", "#525252")
_SERIES_DARK = ("#7aa2ff", "#fbbf24", "#2dd4bf", "#e879f9", "#a3e635", "#fb7185", "#38bdf8", "#c4c4c4")
SERIES = len(_SERIES_LIGHT)
"""So many treatments have a colour of their own; further ones begin again, with another mark."""

LIGHT = {
    "bg": "#ffffff", "panel": "#f6f7f9", "ink": "#1b2230", "soft": "#566072", "line": "#d5dae2", "axis": "#7b8494",
    "good": "#15803d", "bad": "#b91c1c", "wait": "#1d4ed8", "warn": "#a14a06",
    **{f"s{number}": colour for number, colour in enumerate(_SERIES_LIGHT)},
}  # fmt: skip
"""The colours, for pictures that cannot follow the viewer's scheme too."""
_DARK = {
    "bg": "#11151c", "panel": "#1a202b", "ink": "#e7ebf2", "soft": "#a3adbd", "line": "#2f3848", "axis": "#8790a0",
    "good": "#4ade80", "bad": "#f87171", "wait": "#7aa2ff", "warn": "#fbbf24",
    **{f"s{number}": colour for number, colour in enumerate(_SERIES_DARK)},
}  # fmt: skip


def _variables(colours: dict[str, str]) -> str:
    return "".join(f"--ld-{name}:{colour};" for name, colour in colours.items())


_SERIES_RULES = "".join(f".ld-s{number}{{color:var(--ld-s{number})}}" for number in range(SERIES))

_COLOURS = f"""
.ld{{color-scheme:light dark;background:var(--ld-bg);color:var(--ld-ink);font:14px/1.5 system-ui,sans-serif;
{_variables(LIGHT)}}}
@media (prefers-color-scheme:dark){{.ld{{{_variables(_DARK)}}}}}
@media print{{.ld{{color-scheme:light;{_variables(LIGHT)}--ld-panel:#ffffff}}}}
{_SERIES_RULES}"""
_RULES = """
.ld *{box-sizing:border-box}
.ld h1{font-size:22px;line-height:1.3;margin:0 0 4px;overflow-wrap:anywhere}
.ld h2{font-size:15px;margin:28px 0 8px}.ld h3{font-size:14px;margin:0 0 4px}
.ld p{margin:4px 0}.ld a{color:var(--ld-wait)}.ld a:hover{text-decoration-thickness:2px}
.ld :focus-visible{outline:2px solid var(--ld-wait);outline-offset:2px}
.ld-soft{color:var(--ld-soft)}.ld-good{color:var(--ld-good)}.ld-bad{color:var(--ld-bad)}
.ld-wait{color:var(--ld-wait)}.ld-warn{color:var(--ld-warn)}
.ld-hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.ld-chip{display:inline-block;padding:1px 9px;border:1px solid currentColor;border-radius:10px;font-size:12px;
font-weight:600;white-space:nowrap}
.ld-banner{border-left:4px solid var(--ld-axis);background:var(--ld-panel);padding:12px 16px;margin:14px 0;
font-size:16px}
.ld-banner.ld-is-wait{border-color:var(--ld-wait)}.ld-banner.ld-is-good{border-color:var(--ld-good)}
.ld-banner.ld-is-bad{border-color:var(--ld-bad)}.ld-banner.ld-is-warn{border-color:var(--ld-warn)}
.ld-grid{display:grid;grid-template-columns:minmax(0,5fr) minmax(0,3fr);gap:0 28px}
@media (max-width:900px){.ld-grid{grid-template-columns:minmax(0,1fr)}}
.ld-card{background:var(--ld-panel);border:1px solid var(--ld-line);border-radius:6px;padding:12px 14px;margin:0 0 12px}
.ld-figure{margin:0 0 12px;background:var(--ld-panel);border:1px solid var(--ld-line);border-radius:6px;
padding:12px 14px}
.ld-figure figcaption{font-weight:600;margin:0 0 6px}.ld-figure .ld-note{font-weight:400;color:var(--ld-soft)}
.ld-figure summary,.ld-card summary{cursor:pointer;color:var(--ld-soft);margin-top:6px}
.ld-wide{overflow-x:auto;position:relative}.ld-wide+.ld-wide{margin-top:14px}
.ld table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums;font-size:13px}
.ld th,.ld td{text-align:left;padding:4px 12px 4px 0;border-bottom:1px solid var(--ld-line);vertical-align:top}
.ld th{font-weight:600}.ld thead th{color:var(--ld-soft);white-space:nowrap}
.ld-break{overflow-wrap:anywhere}.ld-list{margin:0;padding-left:18px}.ld-list li{margin:3px 0;overflow-wrap:anywhere}
.ld-svg{display:block;width:100%;height:auto;font:12px system-ui,sans-serif}
.ld-small{vertical-align:middle}.ld-base{color:var(--ld-axis)}
.ld-svg text{fill:var(--ld-soft);paint-order:stroke;stroke:var(--ld-panel);stroke-width:3px;stroke-linejoin:round}
.ld-svg .ld-strong{fill:var(--ld-ink);font-weight:600}
.ld-mark{stroke:var(--ld-line)}.ld-zero{stroke:var(--ld-axis);stroke-width:1.5}
.ld-svg .ld-band{fill:currentColor;fill-opacity:.13}.ld-svg .ld-whisker{stroke:currentColor;stroke-width:1.5}
.ld-thin{fill:none;stroke:currentColor;stroke-width:.8;stroke-opacity:.55}
.ld-svg .ld-path{fill:none;stroke:currentColor;stroke-width:2}.ld-svg .ld-dot{fill:currentColor;stroke:var(--ld-panel)}
.ld-svg .ld-beyond{fill:currentColor}
.ld-ship{fill:none;stroke:var(--ld-good);stroke-width:1.8}
.ld-harm{fill:none;stroke:var(--ld-bad);stroke-width:1.8;stroke-dasharray:7 4}
.ld-svg .ld-margin{stroke:var(--ld-warn);stroke-width:1.2;stroke-dasharray:2 3}
.ld-svg .ld-next{stroke:var(--ld-warn);stroke-dasharray:4 3}.ld-svg .ld-ahead{stroke-opacity:.6}
.ld-svg text.ld-good{fill:var(--ld-good)}.ld-svg text.ld-bad{fill:var(--ld-bad)}
.ld-svg text.ld-warn{fill:var(--ld-warn)}
.ld-svg text.ld-name{fill:var(--ld-ink)}.ld-fill{fill:currentColor}.ld-track{fill:var(--ld-line)}
.ld-svg .ld-planned{stroke:var(--ld-ink);stroke-width:2}
.ld-ladder{list-style:none;display:flex;flex-wrap:wrap;gap:4px;margin:8px 0;padding:0}
.ld-ladder li{padding:2px 10px;border:1px solid var(--ld-line);border-radius:4px;background:var(--ld-panel);
color:var(--ld-soft);font-size:13px;overflow-wrap:anywhere}
.ld-ladder .ld-done{color:var(--ld-ink)}
.ld-ladder .ld-now{background:var(--ld-wait);border-color:var(--ld-wait);color:var(--ld-bg);font-weight:600}
.ld-ladder .ld-skipped{text-decoration:line-through}
.ld-timeline{list-style:none;margin:0;padding:0}
.ld-timeline li{position:relative;margin-left:5px;padding:4px 0 4px 16px;border-left:2px solid var(--ld-line);
overflow-wrap:anywhere}
.ld-timeline li::before{content:"";position:absolute;left:-6px;top:10px;width:10px;height:10px;border-radius:50%;
background:var(--ld-axis)}
.ld-timeline .ld-ahead::before{background:var(--ld-bg);border:2px solid var(--ld-wait)}
.ld-timeline time{color:var(--ld-soft);font-variant-numeric:tabular-nums}
@media print{.ld-figure,.ld-card,.ld-banner{break-inside:avoid}.ld-grid{display:block}.ld-wide{overflow:visible}
.ld details::details-content{content-visibility:visible;block-size:auto}}
@media (forced-colors:active){.ld-ladder .ld-now{border:2px solid Highlight}
.ld-fill,.ld-dot{forced-color-adjust:none}}
"""

STYLE = _COLOURS + _RULES
"""The style sheet of everything below an element with the class ``ld``."""

PAGE_STYLE = STYLE + "body{margin:0}.ld-page{max-width:1280px;min-height:100vh;margin:0 auto;padding:20px 24px}"
"""For a page of its own, whose body has the class ``ld``."""
