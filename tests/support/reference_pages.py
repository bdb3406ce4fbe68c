"""Writes the reference pages that the code describes: `python tests/support/reference_pages.py`. A test compares.

Types, limits and defaults come from the models, descriptions from the docstrings: a changed field changes its page.
"""

from __future__ import annotations

import re
import sys
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from textwrap import fill
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Union, get_args, get_origin

import annotated_types
from pydantic import BaseModel

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_launchdarkly.api import errors
from airflow_provider_launchdarkly.api.http.settings import ClientSettings
from airflow_provider_launchdarkly.api.reads import flags
from airflow_provider_launchdarkly.api.writes import approvals, approved, releases
from airflow_provider_launchdarkly.change_windows import window
from airflow_provider_launchdarkly.config.durations import format_duration
from airflow_provider_launchdarkly.config.later import Later
from airflow_provider_launchdarkly.decision import evidence, futility, policy, policy_parts, verdict
from airflow_provider_launchdarkly.decision.presets import PRESETS
from airflow_provider_launchdarkly.evidence import arrival
from airflow_provider_launchdarkly.get_provider_info import get_provider_info
from airflow_provider_launchdarkly.hooks.calls import Call, Walk
from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
from airflow_provider_launchdarkly.operators import _winner, iterations
from airflow_provider_launchdarkly.rollout import approval, dag_settings, notify, promotion, shipping, spec, waves
from airflow_provider_launchdarkly.rollout.ending_settings import Endings, Retire
from support.release_rollouts import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from inspect import Signature

    from pydantic.fields import FieldInfo

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
GENERATED = "<!-- Written by tests/support/reference_pages.py; a test holds this page equal to what it writes. -->"
TYPES = {
    Any: "any",
    bool: "`true` or `false`",
    date: "date",
    Decimal: "number",
    float: "number",
    int: "whole number",
    str: "text",
    timedelta: "duration",
}


class Text(NamedTuple):
    """A docstring, taken apart."""

    summary: str
    attributes: dict[str, str]


def described(of: type[Any]) -> Text:
    """Take a docstring's text and its ``Attributes:`` apart, as Markdown."""
    doc = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", of.__doc__ or "").replace("``", "`")
    summary, _, attributes = doc.partition("\n\n    Attributes:\n")
    found = re.findall(r"^ {8}(\w+): ((?:.|\n {12})*)", attributes, flags=re.MULTILINE)
    first, _, more = summary.partition("\n\n")
    paragraphs = [" ".join(part.split()) for part in (first, *more.split("\n\n")) if part.strip()]
    return Text("\n\n".join(paragraphs), {name: " ".join(text.split()) for name, text in found})


def _limit(value: Any) -> str:
    return format_duration(value) if isinstance(value, timedelta) else f"{value:g}"


def shape(annotation: Any, metadata: list[Any]) -> str:
    """Name a field's type and its limits, as one writes them in YAML."""
    limits = []
    for limit in metadata:
        match limit:
            case Later():
                annotation = limit.load()
            case annotated_types.Gt(gt):
                limits.append(f"above {_limit(gt)}")
            case annotated_types.Ge(ge):
                limits.append(f"from {_limit(ge)}")
            case annotated_types.Lt(lt):
                limits.append(f"below {_limit(lt)}")
            case annotated_types.Le(le):
                limits.append(f"up to {_limit(le)}")
    name = named(annotation)
    return ", ".join((name, *limits))


def named(annotation: Any) -> str:
    """Name a type."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in {UnionType, Union}:
        return " or ".join(named(part) for part in arguments if part is not NoneType)
    if hasattr(annotation, "__metadata__"):
        return shape(arguments[0], flat(annotation.__metadata__))
    if origin is tuple:
        return f"list of {named(arguments[0])}" if arguments[-1] is Ellipsis else "pair"
    if origin is dict:
        return "mapping"
    if origin is Literal:
        return ", ".join(f"`{value}`" for value in arguments)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{member.value}`" for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel) and "Results" not in annotation.__name__:
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    return TYPES.get(annotation, f"`{getattr(annotation, '__name__', annotation)}`")


def flat(metadata: tuple[Any, ...]) -> list[Any]:
    """Return the limits of a type; a pydantic ``Field`` keeps them inside."""
    return [limit for entry in metadata for limit in getattr(entry, "metadata", [entry])]


def default(field: FieldInfo) -> str:
    """Return a field's default, as one writes it in YAML."""
    if field.is_required():
        return "required"
    return plain(field.get_default(call_default_factory=True))


def plain(value: Any) -> str:
    """Return a value, as one writes it in YAML."""
    match value:
        case None | ():
            return "none"
        case BaseModel():
            given = {name: plain(getattr(value, name)) for name in value.model_fields_set}
            return ", ".join(f"`{name}`: {text}" for name, text in given.items()) or "its own defaults"
        case bool():
            return f"`{str(value).lower()}`"
        case Enum():
            return f"`{value.value}`"
        case timedelta():
            return f"`{format_duration(value)}`"
        case tuple():
            return ", ".join(plain(part) for part in value)
        case _:
            return f"`{value}`"


def model(of: type[BaseModel], *, level: int = 2, leave_out: tuple[str, ...] = ()) -> Iterator[str]:
    """Write a model as a section with a table."""
    text = described(of)
    yield from (f"{'#' * level} {of.__name__}", "", text.summary, "")
    yield from ("| field | type | default | |", "|---|---|---|---|")
    for name, field in of.model_fields.items():
        if name not in leave_out:
            kind = shape(field.annotation, flat(tuple(field.metadata)))
            yield f"| `{name}` | {kind} | {default(field)} | {text.attributes[name]} |"
    yield ""


def prose(text: str) -> str:
    """Return text as a paragraph of the page."""
    return fill(" ".join(text.split()), 119, break_long_words=False, break_on_hyphens=False)


def tuple_fields(of: Any, names: dict[str, str] | None = None) -> Iterator[str]:
    """Write a named tuple's fields as a table."""
    text = described(of)
    yield from (text.summary, "", "| field | |", "|---|---|")
    for name in of._fields:
        yield f"| `{(names or {}).get(name, name)}` | {text.attributes[name]} |"
    yield ""


DURATIONS = (
    "Durations are written `7d`, `12h`, `1d12h`, or as ISO 8601 (`P7D`); in Python a `timedelta` will do as well."
)


def policy_page() -> Iterator[str]:
    """`docs/reference/policy.md`."""
    yield from ("# Policy", "", GENERATED, "")
    yield prose(
        """
        A policy says how an experiment is decided: which metrics, which error rates, when results are looked at, how
        long at least and at most. Write it as a `Policy` in Python, or as a mapping or YAML with the same fields. What
        it does with them is in [How we decide](../concepts/how-we-decide.md).
        """
    )
    yield from ("", "```python", "from airflow_provider_launchdarkly import Guardrail, Policy", "")
    yield from (
        "policy = Policy(",
        '    looks="1d",',
        '    min_duration="7d",',
        '    max_duration="28d",',
        '    guardrails=[Guardrail(metric="page-load-ms", margin=0.02)],',
        ")",
        "```",
        "",
    )
    yield DURATIONS
    yield prose(
        f"""
        Shares and probabilities are numbers between 0 and 1: 0.05 is 5 %. Unknown fields are errors.
        `preset` names a policy to start from: {", ".join(f"`{name}`" for name in sorted(PRESETS))}; the
        fields beside it change it. `Policy.preset(name)` returns one.
        """
    )
    yield ""
    names = "Primary Guardrail ReleaseGuardrail Signal Looks OnData Mismatch Missing Traffic PortfolioShare Budget"
    for part in (policy.Policy, *(getattr(policy_parts, name) for name in names.split()), futility.Futility):
        yield from model(part)


def rollout_page() -> Iterator[str]:
    """`docs/reference/rollout.md`."""
    yield from ("# Rollout", "", GENERATED, "", "The fields of a rollout, for `experiment_rollout`, `rollout_dag` and")
    yield "[files](../how-to/rollouts-as-files.md). [Here](../how-to/rollouts.md) is how they work together."
    yield "Editors can use its [schema](../rollout.schema.json)."
    yield from (DURATIONS, "", "`policy` is a [Policy](policy.md); `release` makes a [release](#releaserollout).", "")
    parts = (spec.Rollout, spec.Experiment, spec.Treatment, spec.Metric, spec.Stage, approval.Approval)
    ends = (approval.LaunchDarklyApproval, Endings, Retire, shipping.Ship, shipping.Release, shipping.ReleaseStep)
    placed = (shipping.GuardedMetric, promotion.Environment, waves.Target, waves.WaveSettings, waves.Wave)
    for part in (*parts, *ends, *placed, *MODELS):
        yield from (line.replace("[Policy](#policy)", "[Policy](policy.md)") for line in model(part))
    yield from model(window.ChangeWindow, leave_out=("events",))
    for other in (notify.Notify, arrival.DataArrival, arrival.Partitions, window.Closure, dag_settings.DagSettings):
        yield from model(other)


MEANINGS = {
    "better": "The primary metric beat the baseline.",
    "not_worse": "With `test: non_inferiority`: no more than the margin is lost.",
    "guardrail_harmed": "A guardrail got significantly worse.",
    "primary_harmed": "The primary metric got significantly worse.",
    "baseline_best": "With `rule: probability_to_be_best`: the baseline reached the threshold.",
    "release_regressed": "A metric regressed in a release of `release_guardrails`, as LaunchDarkly judges.",
    "plan_ended": "The plan ended without a winner.",
    "futile": "No treatment is likely to ship by the plan's end (`futility`).",
    "mismatch": "Units are not split as allocated.",
    "no_traffic": "A treatment has no units, or the primary metric no events, after the grace period.",
    "iteration_replaced": "Another iteration runs in place of this one.",
    "iteration_stopped": "Someone else stopped the iteration.",
    "min_duration": "`min_duration` is not over.",
    "min_sample": "A treatment has fewer than `min_units_per_treatment` units.",
    "no_data": "A treatment has no units, or the primary metric never varied.",
    "release_unknown": "A release of `release_guardrails` is missing, or has a metric without a state.",
    "more_units_than_exposed": "A metric is measured on more units than were exposed.",
    "stale_results": "The counts have stood still for `missing.stale_after`.",
    "between_looks": "No look is due.",
    "awaiting_data": "A look's time has come, and its data have not arrived.",
    "not_significant": "The boundary of this look is not reached.",
    "signal": "A signal points the wrong way.",
    "guardrail_unproven": "A guardrail with `prove` has not shown that it loses no more than its margin.",
    "effect_gone": "A treatment crossed the boundary at an earlier look, and its effect is gone.",
}


def verdict_page() -> Iterator[str]:
    """`docs/reference/verdict.md`."""
    yield from ("# Verdict", "", GENERATED, "")
    yield prose(
        """
        The verdict is the output of `LaunchDarklyWaitForSignificanceSensor` and `LaunchDarklyJudgeOperator`, the
        `verdict` of [events](events.md), and the `verdict` of a [decision record](../how-to/decision-record.md). It is
        plain JSON: every number is finite or `null`, durations are in days.
        """
    )
    yield from ("", "## Fields", "")
    yield from tuple_fields(
        verdict.Verdict, {"kind": "verdict", "elapsed": "elapsed_days", "next_look": "next_look_days"}
    )
    yield prose(
        """
        A sensor and an operator add `project_key`, `environment_key`, `experiment_key` and
        `iteration_id`, and with a decision record `record`: its `path`, the number of `entries`, and
        the hash of the last one, `head`.
        """
    )
    yield from ("", "## Verdicts", "", "`verdict` is one of:", "")
    yield from (
        "| `verdict` | meaning | `LaunchDarklyStopIterationOperator` |",
        "|---|---|---|",
        "| `ship` | a treatment won | stops with that treatment |",
        "| `rollback` | a treatment does harm | stops on the baseline |",
        "| `inconclusive` | the plan ended without a winner, or will hardly have one | stops on the baseline |",
        "| `invalid` | the data cannot be trusted | fails, and stops nothing |",
        "| `wait` | not yet; the sensor never returns it | fails, and stops nothing |",
        "",
        "## Reasons",
        "",
        "`reason` is one of:",
        "",
        "| `reason` | |",
        "|---|---|",
    )
    for reason in verdict.Reason:
        yield f"| `{reason.value}` | {MEANINGS[reason.value]} |"
    yield from ("", "[The truth table](../truth-table.md) says which verdict each reason comes with.", "")
    for title, of in (
        ("`metrics`", verdict.MetricJudgement),
        ("`metrics[].comparisons`", verdict.TreatmentEffect),
        ("`success` and `harm`", verdict.Bar),
        ("`prospects`", verdict.Prospects),
        ("`estimate`", verdict.Estimate),
        ("`split`", verdict.Split),
        ("`standing`", evidence.Standing),
    ):
        yield from (f"## {title}", "")
        yield from tuple_fields(of)
        if of is verdict.Bar:
            yield from ("`distance` is added: how much `z` is missing, negative beyond the boundary.", "")


def connection_page() -> Iterator[str]:
    """`docs/reference/connection.md`."""
    (connection,) = get_provider_info()["connection-types"]
    defaults = ClientSettings.__dataclass_fields__
    yield from ("# Connection", "", GENERATED, "")
    yield prose(
        """
        The connection type is `launchdarkly`; tasks use the connection `launchdarkly_default` unless
        `launchdarkly_conn_id` names another one. [Getting
        started](../tutorial/getting-started.md#3-the-connection) shows how to create it.
        """
    )
    yield from ("", "| field | |", "|---|---|")
    yield "| `password` | The API access token (`api-…`). Required. |"
    yield "| `host` | Base URL, for a proxy, a gateway or the emulator. Default: the region's. |"
    yield "| `port` | Only where the host names none, as in a connection URI. |"
    yield "| `login`, `schema` | Must be empty: nothing uses them. |"
    yield "| `extra` | A JSON object with the keys below. An unknown key is an error. |"
    yield from ("", "| key of `extra` | default | |", "|---|---|---|")
    for name, field in connection["conn-fields"].items():
        value = plain(defaults[name].default) if name in defaults else {"region": "`us`"}.get(name, "none")
        yield f"| `{name}` | {value} | {field['description']} |"
    yield from ("", "Times are in seconds. Numbers and booleans may be text, as a connection URI makes them.")
    yield prose(
        """
        [Retries and their budgets](retries.md) says what `timeout`, `retry_budget` and `deadline` cover.
        """
    )


def configuration_page() -> Iterator[str]:
    """`docs/reference/configuration.md`."""
    options = get_provider_info()["config"]["launchdarkly"]["options"]
    yield from ("# Configuration", "", GENERATED, "")
    yield prose(
        """
        Options of the section `[launchdarkly]` of `airflow.cfg`, or environment variables.
        """
    )
    yield from ("", "| option | environment variable | type | default | |", "|---|---|---|---|---|")
    for name, option in options.items():
        value = f"`{option['default']}`" if option["default"] else "empty"
        variable = f"AIRFLOW__LAUNCHDARKLY__{name.upper()}"
        yield f"| `{name}` | `{variable}` | {option['type']} | {value} | {option['description']} |"


def hook_page() -> Iterator[str]:
    """`docs/reference/hook.md`."""
    yield from ("# LaunchDarklyHook", "", GENERATED, "")
    yield prose(
        """
        The hook has every call of LaunchDarkly's Experiments API. Each runs both ways:
        `hook.get_flag(…)` in a task, and `await hook.get_flag.aio(…)` on an event loop. Requests,
        retries and rate limits are the same.
        """
    )
    yield from (
        "",
        "```python",
        "from airflow.sdk import task",
        "",
        "from airflow_provider_launchdarkly import LaunchDarklyHook",
        "",
        "",
        "@task",
        "def count_running_experiments() -> int:",
        '    hook = LaunchDarklyHook("launchdarkly_default", project_key="default", environment_key="production")',
        "    return sum(1 for experiment in hook.iter_experiments() if experiment.running)",
        "```",
        "",
    )
    yield prose(
        """
        All hooks of a process share one HTTP client for equal connections. All triggers of an event
        loop share one, with at most four requests in flight. Every error derives from
        `LaunchDarklyError`; its `retryable` says whether a retry can help.
        """
    )
    yield from ("", "| call | parameters | |", "|---|---|---|")
    from inspect import getmembers, signature

    calls = getmembers(LaunchDarklyHook, lambda member: isinstance(member, Call | Walk))
    for name, call in calls:
        first = first_line(call)
        yield f"| `{name}` | {parameters(signature(call._build))} | {first} |"
    yield ""
    yield prose(
        """
        Parameters in italics have a default. `project_key` and `environment_key` are left out: every
        call takes those that it needs, and their default is the hook's, then the connection's. The
        whole docstring of a call is in its method on the API reference's page of the hook, and in
        `help(LaunchDarklyHook.get_flag)`. [LaunchDarkly's API, call by call](../coverage.md) lists the
        endpoints.
        """
    )


def errors_page() -> Iterator[str]:
    """`docs/reference/errors.md`."""
    yield from ("# Errors", "", GENERATED, "")
    yield prose(
        """
        Every error derives from `LaunchDarklyError`, which you import from the package itself; the others
        are in `airflow_provider_launchdarkly.api.errors` unless the table names another module. Each
        message names what is wrong and what to do.
        """
    )
    yield from (
        "",
        "```python",
        "from airflow_provider_launchdarkly import LaunchDarklyError",
        "from airflow_provider_launchdarkly.api.errors import ResultsUnavailableError",
        "```",
        "",
    )
    yield prose(
        """
        Where a retry may help, Airflow's `retries` apply. Operators fail at once on all other errors, and
        [`retry_policy()`](../how-to/retries.md) does the same for other tasks. An error is also an instance
        of the errors above it that the column names.
        """
    )
    yield ""
    yield prose(
        """
        A wrong `Policy`, `ChangeWindow` or `Rollout` raises `InvalidSettingError` (`config.problems`) when the
        DAG file is parsed. It is a `ValueError`; its message names each field, its value and the cure
        ([examples](mistakes.md)). Where a template or another task gave the value, it becomes a
        `ConfigurationError`.
        """
    )
    yield from ("", "| error | is a | a retry may help | |", "|---|---|---|---|")
    defined_in = (errors, approvals, approved, releases, flags, iterations, _winner)
    found = {of for module in defined_in for of in vars(module).values() if is_error(of)}
    for of in sorted(found, key=lambda of: of.__name__):
        is_a = ", ".join(
            f"`{base.__name__}`" for base in of.__bases__ if is_error(base) and base is not errors.LaunchDarklyError
        )
        module = of.__module__.removeprefix("airflow_provider_launchdarkly.")
        where = "" if of.__module__ == errors.__name__ else f" (`{module}`)"
        yield f"| `{of.__name__}`{where} | {is_a} | {'yes' if of.retryable else 'no'} | {first_line(of)} |"


def is_error(of: Any) -> bool:
    """Return whether this is one of the package's errors about LaunchDarkly."""
    return isinstance(of, type) and issubclass(of, errors.LaunchDarklyError)


def first_line(of: Any) -> str:
    """Return the first paragraph of a docstring, as Markdown."""
    text = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", of.__doc__ or "").replace("``", "`")
    return " ".join(text.partition("\n\n")[0].split()).replace("|", "\\|")


def parameters(of: Signature) -> str:
    """Name a call's parameters."""
    keys = {"self", "project_key", "environment_key"}
    given = [one for one in of.parameters.values() if one.name not in keys]
    return ", ".join(f"`{one.name}`" if one.default is one.empty else f"*`{one.name}`*" for one in given)


PAGES: dict[str, Callable[[], Iterator[str]]] = {
    "policy.md": policy_page,
    "rollout.md": rollout_page,
    "verdict.md": verdict_page,
    "connection.md": connection_page,
    "configuration.md": configuration_page,
    "hook.md": hook_page,
    "errors.md": errors_page,
}


def page(name: str) -> str:
    """Return a page's text."""
    return "\n".join(PAGES[name]()).rstrip() + "\n"


if __name__ == "__main__":
    for name in PAGES:
        (REFERENCE / name).write_text(page(name), encoding="utf-8")
