"""The HTML pages: all experiments, and one experiment with its iterations and what its flag serves. All is escaped."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.rules.targeting import describe
from airflow_provider_launchdarkly.emulator.state.clock import from_milliseconds

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.state.models import Experiment, Iteration, Project, World

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem;color:#1c2733}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem;border-bottom:1px solid #d8dee6}
.status{border-radius:1rem;padding:.1rem .7rem;background:#e6ebf1}.running{background:#cdeccf}.note{color:#5b6875}
@media (prefers-color-scheme:dark){body{background:#12181f;color:#dfe6ee}th,td{border-color:#2c3947}
.status{background:#2c3947}.running{background:#235c2a}.note{color:#93a1b0}a{color:#7db4ff}}
"""


def experiment_page(project: Project, experiment: Experiment) -> str:
    """Return the HTML page of an experiment."""
    environment = project.environments[experiment.environment_key]
    rows = "".join(_row(project, iteration) for iteration in reversed(experiment.iterations))
    archived = ", archived" if experiment.archived_at is not None else ""
    body = f"""
<p><a href="/">All experiments</a></p>
<h1>{escape(experiment.name)}</h1>
<p class="note">{escape(experiment.key)} in {escape(environment.name)}, project {escape(project.name)}{archived}</p>
<p>{escape(experiment.description)}</p>
<h2>Iterations</h2>
<table><tr><th>#</th><th>Status</th><th>Started</th><th>Ended</th><th>Treatments</th><th>Winner</th></tr>{rows}</table>
<h2>What the flag serves</h2>
{_serving(project, experiment)}"""
    return _document(experiment.name, body)


def index_page(world: World) -> str:
    """Return the HTML page that lists all experiments with links."""
    items = [
        f'<tr><td><a href="/projects/{escape(project.key)}/experiments/{escape(experiment.key)}'
        f'?env={escape(experiment.environment_key)}">{escape(experiment.name)}</a></td>'
        f"<td>{escape(project.name)}</td><td>{escape(experiment.environment_key)}</td>"
        f"<td>{_badge(experiment.current.status)}</td></tr>"
        for project in world.projects.values()
        for experiment in project.experiments.values()
    ]
    table = (
        f"<table><tr><th>Experiment</th><th>Project</th><th>Environment</th><th>Status</th></tr>{''.join(items)}</table>"
        if items
        else "<p>No experiment has been created yet.</p>"
    )
    return _document("Experiments", f"<h1>Experiments</h1>{table}")


def _row(project: Project, iteration: Iteration) -> str:
    flag = project.flags[iteration.flag.flag_key]
    arms = ", ".join(
        f"{escape(t.name)} {escape(percent)} %{' (baseline)' if t.baseline else ''}"
        for t, percent in zip(iteration.treatments, iteration.percentages, strict=True)
    )
    winner = iteration.treatment(iteration.winning_treatment_id or "")
    name = escape(winner.name) if winner else ""
    reason = f'<br><span class="note">{escape(iteration.winning_reason)}</span>' if iteration.winning_reason else ""
    return (
        f"<tr><td>{iteration.number}</td><td>{_badge(iteration.status)}</td><td>{_when(iteration.started_at)}</td>"
        f"<td>{_when(iteration.ended_at)}</td><td>{arms}<br><span class='note'>{escape(flag.name)}</span></td>"
        f"<td>{name}{reason}</td></tr>"
    )


def _serving(project: Project, experiment: Experiment) -> str:
    use = experiment.current.flag
    flag = project.flags[use.flag_key]
    config = flag.configs[experiment.environment_key]
    state = "on" if config.on else f"off: {flag.variations[config.off_variation].label} to everyone"
    lines = [
        f"<tr><td>{escape(r.description or r.id)}</td><td>{escape(describe(flag, r.serving))}</td></tr>"
        for r in config.rules
    ]
    lines.append(f"<tr><td>Everyone else</td><td>{escape(describe(flag, config.fallthrough))}</td></tr>")
    return (
        f"<p>{escape(flag.name)} ({escape(flag.key)}) is {escape(state)}, version {config.version}.</p>"
        f"<table><tr><th>Rule</th><th>Serves</th></tr>{''.join(lines)}</table>"
    )


def _badge(status: str) -> str:
    return f'<span class="status {escape(status)}">{escape(status.replace("_", " "))}</span>'


def _when(milliseconds: int | None) -> str:
    return "" if milliseconds is None else from_milliseconds(milliseconds).strftime("%Y-%m-%d %H:%M UTC")


def _document(title: str, body: str) -> str:
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width'>"
        f"<title>{escape(title)}: LaunchDarkly emulator</title><style>{_STYLE}</style></head>"
        f"<body>{body}<p class='note'>This is the LaunchDarkly emulator. Nothing here is real.</p></body></html>"
    )
