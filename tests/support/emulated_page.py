"""Writes docs/emulated.md from the emulator's own tables: `python tests/support/emulated_page.py`. A test compares."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

from airflow_provider_launchdarkly.emulator.rules import experiment_patch, flag_patch, holdouts, layers
from airflow_provider_launchdarkly.emulator.state.settings import Settings, positions
from airflow_provider_launchdarkly.emulator.transport.control import CONTROLS
from airflow_provider_launchdarkly.emulator.transport.faults import FAULTS, LIMITS
from airflow_provider_launchdarkly.emulator.transport.operations import OPERATIONS

PAGE = Path(__file__).parents[2] / "docs" / "emulated.md"

RULES = (
    ("An experiment is created with its first iteration, shown as `currentIteration`, not started", "observed"),
    (
        "Creating an iteration answers 200, not 201; a new one beside a current one is the `draftIteration`",
        "documented",
    ),
    ("Starting needs a flag that is on and not archived, and a rule that no other experiment runs on", "documented"),
    (
        "A rule that another experiment runs on answers 409 `optimistic_locking_error`, at start and to flag patches",
        "observed",
    ),
    (
        "Starting over a running iteration needs `changeJustification` and ends the running one without a winner",
        "documented",
    ),
    ("Stopping needs a winner and sets the rule to the winner's variation for everybody it matches", "observed"),
    ("Starting and stopping raise the flag's version in that environment by one", "inferred"),
    ("A `flagConfigVersion` that is not the flag's present one is a 409", "switch `flag_version`"),
    ("A new iteration over one that has not started replaces it", "switch `draft_over_draft`"),
    (
        "While an iteration runs, metadata may change and metrics and attributes may be added; the rest is locked",
        "documented",
    ),
    ("A locked field is refused with 400", "chosen"),
    ("The field names of `mutableFieldsByStatus`", "chosen"),
    ("Archiving a running experiment is refused with 400", "chosen"),
    ("A second experiment with the same key is a 409", "observed"),
    ("There is no DELETE: 405", "observed"),
    (
        "Without a `methodology` an experiment is Bayesian, in generation `25` frequentist; a bandit Bayesian",
        "documented",
    ),
    ("`status` in a filter matches any iteration, also a past one", "documented"),
    ("What is empty is left out even when it is expanded", "documented"),
    ("A service token needs a `maintainerId`", "observed"),
    ("Fields that a request has and LaunchDarkly does not know are ignored without a word", "documented"),
    ("A change of a flag where approvals are required is a 405", "documented"),
    (
        'A change of an experiment where approvals are required is a 403 "approval is required"',
        "switch `experiment_approvals`",
    ),
    ("PUT of the experimentation settings replaces the whole list; there is one default at most", "documented"),
    (
        "A holdout's fields are written in lower case, a layer's instructions name `name` and `description`",
        "documented",
    ),
    ("A layer's shares add up to 100 % at most; zero only until the start", "documented"),
    ("Which event moves a holdout from `created` to `enabled` to `running`", "chosen"),
    ("A bandit's shares are its arms' probabilities to be best, at the frequency it was created with", "documented"),
    ("A reallocation does not raise the flag's version and has no journal entry", "chosen"),
    ("Results have the shape of client 17.2.0; the total is the entry of `results` without `attribute`", "chosen"),
    ("Results appear at every full hour after the start", "chosen"),
    ("Legacy results show the latest iteration on the flag that measures the metric", "chosen"),
)
"""Rule, and how it is known."""

DIFFERENCES = (
    "People are drawn from the truth that the world gives, as sufficient statistics; there are no events to send.",
    "Nobody is notified, and there is no approval to request: what needs one is refused.",
    "Rate limits are never reached by themselves; faults and the switch `rate_limit_headers` stand for them.",
    "Results of frequentist experiments have the Bayesian shape too: no other was ever published.",
    "A flag's targets, prerequisites, scheduled changes, guarded and progressive rollouts are not there.",
    "A JSON patch changes a flag's name, description, tags, temporary, archived; on, fallthrough, off variation.",
    "Metrics and metric groups are created and read; they are not changed or deleted.",
    "A pause of a flag counts by full hours: who came in the hour in which it was turned off, came.",
    "A bandit's people follow the shares in force when their day began.",
    "The list of layers shows the reservations of every environment that has any.",
    "Holdouts shrink the audience of their experiments; the holdout's own experiment has no results.",
)

MARKS = (
    ("documented", "LaunchDarkly's REST documentation, or the models of its published clients, say so"),
    ("observed", "LaunchDarkly's own public tools and examples rely on it or report it"),
    ("inferred", "follows from both, said by neither"),
    ("chosen", "not known; the emulator does what is most useful to find mistakes with"),
    ("switch", "not known, or different over time; the emulator does either"),
)


INTRODUCTION = """\
# What is emulated, what differs, how we know

<!-- Written by tests/support/emulated_page.py; a test holds this page equal to what it writes. -->

How to run it and use it in tests: [The emulator](emulator.md). LaunchDarkly's published Python clients 17.1.0, 17.2.0
and 25.0.1 run against it unchanged in `tests/contract`: what they send is taken, and what is answered fits their
models, with nothing in it that neither the client's version nor the newest one has published."""

ON_OPERATIONS = """\
`beta` says where `LD-API-Version: beta` is needed; `strict` means by the switch `beta_header`. `in` lists the
generations (switch `generation`) that have the operation."""

ON_FIELDS = """\
What `updateExperimentFields` may change, by the iteration's state (`saveAndStartNewIteration` goes by `not_started`,
since its changes land on a new iteration):"""

ON_SWITCHES = (
    "`--set NAME=POSITION`, `EmulatorServer(settings={…})`, `server.switch(…)`, `POST /__emulator__/settings`."
)

ON_FAULTS = """\
`server.fault(OPERATION, FAULT, …)` or `POST /__emulator__/faults`. An operation is one of the table above, `read`,
`write` or `*`; a fault strikes once, the `nth` call, so many `times`, or by `probability`."""

ON_LIMITS = """\
With `limit=` a fault answers 429 with one family of headers, and with `wait=` seconds until its reset (negative: past;
left out: no reset header):"""


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        "## Operations",
        ON_OPERATIONS,
        _table(("operation", "verb and path", "beta", "in", "what it does"), _operations()),
        "## Instructions and fields",
        _table(("patch", "instructions"), _instructions()),
        ON_FIELDS,
        _table(("field", *experiment_patch.MUTABLE), _mutable()),
        "## Switches",
        ON_SWITCHES,
        _table(("switch", "positions, the default first", "what it decides"), _switches()),
        "## Faults",
        ON_FAULTS,
        _table(("fault", "what it does"), [(f"`{name}`", _sentence(text)) for name, text in FAULTS.items()]),
        ON_LIMITS,
        _table(("limit", "headers"), [(f"`{name}`", text) for name, text in LIMITS.items()]),
        "## Controls",
        _table(("route", "verbs"), [(f"`{path}`", ", ".join(verbs)) for path, verbs in CONTROLS.items()]),
        "## Rules, and how we know",
        _table(("mark", "meaning"), MARKS),
        _table(("rule", "known how"), RULES),
        "## What differs",
        "\n".join(f"- {difference}" for difference in DIFFERENCES),
    ]
    return "\n\n".join(parts) + "\n"


def _operations() -> list[tuple[str, ...]]:
    return [
        (
            f"`{operation.name}`",
            f"{operation.method} `{operation.path}`",
            operation.beta,
            ", ".join(operation.generations),
            _sentence(inspect.getdoc(operation.handle) or ""),
        )
        for operation in OPERATIONS
    ]


def _instructions() -> list[tuple[str, str]]:
    tables = {
        "experiment": experiment_patch.INSTRUCTIONS,
        "flag": flag_patch.INSTRUCTIONS,
        "holdout": holdouts.INSTRUCTIONS,
        "layer": layers.INSTRUCTIONS,
    }
    return [(name, ", ".join(f"`{kind}`" for kind in kinds)) for name, kinds in tables.items()]


def _mutable() -> list[tuple[str, ...]]:
    names = dict.fromkeys(name for by_name in experiment_patch.MUTABLE.values() for name in by_name)
    return [
        (f"`{name}`", *(", ".join(by_name.get(name, ())) or "no" for by_name in experiment_patch.MUTABLE.values()))
        for name in names
    ]


def _switches() -> list[tuple[str, str, str]]:
    described = dict(
        re.findall(r"^    (\w+): (.*?)(?=^    \w+: |\Z)", inspect.getdoc(Settings) or "", re.DOTALL | re.MULTILINE)
    )
    rows = []
    for item in fields(Settings):
        default = str(item.default)
        others = [position for position in positions()[item.name] if position != default]
        choices = ", ".join(f"`{position}`" for position in (default, *others))
        rows.append((f"`{item.name}`", choices, _sentence(described[item.name])))
    return rows


def _sentence(text: str) -> str:
    one_line = " ".join(text.split())
    return one_line[:1].upper() + one_line[1:]


def _table(head: tuple[str, ...], rows: object) -> str:
    lines = [head, tuple("---" for _ in head), *rows]  # type: ignore[misc]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
