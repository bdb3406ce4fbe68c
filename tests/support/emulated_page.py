"""Write docs/emulated.md from the emulator's tables: `python tests/support/emulated_page.py`. A test compares them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable
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
        "Creating an iteration responds with 200, not 201; beside a current one it is the `draftIteration`",
        "documented",
    ),
    ("Starting needs a flag that is on and not archived, and a rule that no other experiment runs on", "documented"),
    (
        "A rule that another experiment runs on is a 409 `optimistic_locking_error`, at the start and in flag patches",
        "observed",
    ),
    (
        "Starting over a running iteration needs `changeJustification` and ends the running one without a winner",
        "documented",
    ),
    (
        "Stopping needs a winner and sets the rule to the winner's variation for everyone that the rule matches",
        "observed",
    ),
    ("Starting and stopping raise the flag's version in that environment by one", "inferred"),
    ("An outdated `flagConfigVersion` is a 409", "switch `flag_version`"),
    ("A new iteration replaces one that has not started", "switch `draft_over_draft`"),
    (
        "While an iteration runs, metadata may change and metrics and attributes may be added; the rest is locked",
        "documented",
    ),
    ("The change of a locked field is a 400", "chosen"),
    ("The field names of `mutableFieldsByStatus`", "chosen"),
    ("Archiving a running experiment is a 400", "chosen"),
    ("A second experiment with the same key is a 409", "observed"),
    ("DELETE is a 405", "observed"),
    (
        "The default `methodology` is Bayesian, in generation `25` frequentist; a bandit's is always Bayesian",
        "documented",
    ),
    ("`status` in a filter matches any iteration, past ones included", "documented"),
    (
        "`filter` and `sort` of flags, metrics, metric groups, projects and environments have the documented fields",
        "documented",
    ),
    ("Any other field, operator or value of `filter` or `sort` is a 400 that lists the right ones", "chosen"),
    ("A list of flags without a `state` has those that are not archived, deprecated ones included", "documented"),
    ("People request their flag all the time, in every environment, as `user` contexts", "chosen"),
    ("A semantic patch of a flag takes all 53 published instructions; an unknown one is a 400", "documented"),
    ("A key is an individual target of at most one variation", "documented"),
    ("A flag that others have as a prerequisite cannot be archived", "documented"),
    ("A flag or variation that an experiment or another flag needs cannot be deleted; a 409 says which", "chosen"),
    ("A variation that is served somewhere or is a default cannot be removed", "chosen"),
    (
        "A metric needs what its kind needs: selector and urls, a trace query, a percentile, a column to count",
        "documented",
    ),
    ("`valueColumn` is taken and shown in no response, as in the published models", "documented"),
    ("A JSON patch of a metric makes a new version; `versionId` reads the past ones", "inferred"),
    ("A JSON patch changes neither key, kind nor `isNumeric` of a metric, nor the kind of a group", "chosen"),
    ("A metric or group that an experiment or a group uses cannot be deleted; a 409 says which", "chosen"),
    ("Copying a flag keeps the ids of its rules, and leaves out the mark of a running experiment", "chosen"),
    ("A flag is `active`, `launched` after a week with one variation; without people `new`, then `inactive`", "chosen"),
    ("The flags that need another one are listed, archived ones included", "chosen"),
    ("A list of repositories has all of them, also those without a reference to the flag asked for", "chosen"),
    ("A scanned branch whose `updateSequenceId` is not higher than the one there is a 409", "inferred"),
    (
        "A metric group's maintainer has the field `member` in generations 17, else `key`, `kind`, `_member`",
        "documented",
    ),
    (
        "A flag that a client creates has 1,000 people a day; conversions are 10 %, numbers 100 ± 30, without effects",
        "chosen",
    ),
    ("Empty fields are omitted even when `expand` names them", "documented"),
    ("A service token needs a `maintainerId`", "observed"),
    ("Unknown fields of a request are ignored", "documented"),
    ("Where approvals are required, the change of a flag is a 405", "documented"),
    ("An approval request that is approved is applied there too; one that is not is a 400", "documented"),
    ("One approval is enough, a decline outweighs it, and nobody reviews a request of their own (403)", "inferred"),
    (
        'Where approvals are required, the change of an experiment is a 403 "approval is required"',
        "switch `experiment_approvals`",
    ),
    ("Creating and editing an experiment needs the approval too", "switch `experiment_approvals_of`"),
    ("PUT of the experimentation settings replaces the whole list, which has at most one default", "documented"),
    (
        "A holdout's fields are in lower case; a layer's instructions have the fields `name` and `description`",
        "documented",
    ),
    ("A layer's shares add up to at most 100 %; a share of 0 is allowed until the experiment starts", "documented"),
    ("The events that move a holdout from `created` to `enabled` to `running`", "chosen"),
    ("A bandit's shares become its arms' probabilities to be best, at the frequency of its creation", "documented"),
    ("A reallocation does not raise the flag's version and adds no journal entry", "chosen"),
    ("A release needs a flag that is on, and the `kind` clause of its unit in the rule of each phase", "documented"),
    (
        "A release's new rule with the clauses or the description of another, or of one that a release left, is a 400",
        "documented",
    ),
    ("A release that went back, or completed with `leave_rules_in_place`, leaves its rule on the flag", "documented"),
    ("A second active release on a flag in an environment is a 409 `release_already_active`", "documented"),
    ("Where approvals are required, starting and stopping a release is a 405", "documented"),
    ("A failing health check is a 400 `health_checks_failed`, unless `bypassHealthChecks` names it", "documented"),
    ("A flag with people is evaluated for all randomization units; metrics have events by the ground truth", "chosen"),
    ("A release holds its phases' rules, and the default rule if it ends there: their change is a 409", "inferred"),
    (
        "The metrics of a guarded release are compared at every full hour of a step, by an always-valid test at 5 %",
        "chosen",
    ),
    ("A metric without an event in a phase has no state", "chosen"),
    ("A phase that ends while a metric has no state is reverted", "switch `release_without_data`"),
    ("A regression reverts the phases that were completed, too", "switch `release_rollback`"),
    ("A release goes from step to step and from phase to phase at once", "switch `release_pauses`"),
    ("The account's plan guards releases", "switch `guarded_releases`"),
    ("A release plan is one of the world's `release_plans`", "switch `release_plans`"),
    ("A release is discarded when its flag is turned off or archived", "documented"),
    ("A release that moves on by itself raises the flag's version and adds no journal entry", "chosen"),
    ("Results have the shape of client 17.2.0; the total is the entry of `results` without an `attribute`", "chosen"),
    ("Results change at every full hour after the start", "chosen"),
    ("Legacy results are those of the latest iteration on the flag that measures the metric", "chosen"),
)
"""Each rule, and the source of its knowledge."""

DIFFERENCES = (
    "People are drawn from the world's ground truth, as sufficient statistics. The emulator takes no events.",
    "The emulator sends no notifications. Approval requests are for flags alone, and never conflict or are scheduled.",
    "It has no rate limits. Faults and the switch `rate_limit_headers` simulate them.",
    "Results of frequentist experiments have the Bayesian shape, the only one that was ever published.",
    "Flags have no scheduled changes. Releases move a rule, not the default rule, as those of the REST API do.",
    "A release gets all people whatever its rules say, and each of its steps gets people of its own.",
    "No route dismisses a regression or advances a release by hand; `/__emulator__/releases` does what the UI does.",
    "Rules, targets and prerequisites are kept and shown. The people of an experiment come as if they had none.",
    "A JSON patch changes only a flag's name, description, tags, temporary, archived, on, fallthrough, off variation.",
    "Percentiles, windows, winsorization, filters, denominators and data sources of metrics change no result.",
    "Filters on applications, code references, guarded rollouts, release pipelines, teams and views find nothing.",
    "Turning a flag off or on changes its traffic at the next full hour of the iteration.",
    "A bandit's people are divided by the shares at the start of their day.",
    "The list of layers has the reservations of every environment that has any.",
    "A holdout reduces the audience of its experiments. Its base experiment has no results.",
)

MARKS = (
    ("documented", "LaunchDarkly's REST documentation or the models of its published clients state it"),
    ("observed", "LaunchDarkly's public tools and examples rely on it or report it"),
    ("inferred", "implied by both, stated by neither"),
    ("chosen", "unknown; the emulator does what uncovers most mistakes"),
    ("switch", "unknown or different over time; the switch selects the behaviour"),
)


INTRODUCTION = """\
# What the emulator covers

<!-- Written by tests/support/emulated_page.py. A test compares this page with its output. -->

[The emulator](emulator.md) explains how to run it and use it in tests. This page lists its operations, rules and
differences from LaunchDarkly, and the source of each rule. LaunchDarkly's published Python clients 17.1.0, 17.2.0 and
25.0.1 run against it unchanged in `tests/contract`: it accepts their requests, and its responses fit their models and
have no field that neither the client nor the newest one has published."""

ON_OPERATIONS = """\
The column `beta` tells which operations need `LD-API-Version: beta`; `strict` ones need it by the switch `beta_header`.
The column `in` lists the generations (switch `generation`) that have the operation."""

ON_FIELDS = """\
`updateExperimentFields` allows these operations on each field, by the status of the iteration.
`saveAndStartNewIteration` follows `not_started`, since its changes apply to a new iteration."""

ON_SWITCHES = (
    "Set a switch with `--set NAME=POSITION`, `EmulatorServer(settings={…})`, `server.switch(…)` or "
    "`POST /__emulator__/settings`."
)

ON_FAULTS = """\
Add a fault with `server.fault(OPERATION, FAULT, …)` or `POST /__emulator__/faults`. The operation is one of the table
above, `read`, `write` or `*`. The fault applies to the next call, to the `nth` call, to a number of calls (`times`), or
to each call with a `probability`."""

ON_LIMITS = """\
With `limit=` a fault responds with 429 and one family of headers. `wait=` is the number of seconds until the reset; it
may be negative, and without it there is no reset header."""


def page() -> str:
    """Return the whole page."""
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
        "## Rules and their sources",
        _table(("mark", "meaning"), MARKS),
        _table(("rule", "source"), RULES),
        "## Differences from LaunchDarkly",
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


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
