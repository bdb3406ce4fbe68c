"""The command `power`: how long an experiment must run, and what each part of it costs. No simulation, no network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.cli.arguments import add_allocation, shares
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Traffic
    from airflow_provider_launchdarkly.decision.power import PowerPlan, Stage


class _Guardrail(NamedTuple):
    """A guardrail as the command line gives it: its key, its own values, and the policy's fields of it."""

    metric: str
    baseline: dict[str, float]
    fields: dict[str, Any]


class _Ramp(NamedTuple):
    """A stage before the last one: its shares and its length in days."""

    shares: tuple[float, ...]
    days: float


def add_parser(commands: Commands) -> None:
    """Add `power` to the command line."""
    parser = commands.add_parser(
        "power",
        help="plan an experiment: how long it must run, and what it finds",
        description=(
            "Say how long an experiment must run, how likely it finds an effect, which effect is the smallest that it "
            "finds, and what stages, guardrails and an uneven split cost: from options, a policy file, or a rollout "
            "file stage by stage."
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE", help="a policy or a rollout as a YAML file")
    parser.add_argument("--preset", metavar="NAME", help="a preset instead of a file: balanced, do_no_harm, ...")
    parser.add_argument("--rollout", metavar="NAME", help="the rollout to plan, if the file has several")
    parser.add_argument("--baseline", type=float, metavar="MEAN", help="mean or rate of the primary metric")
    parser.add_argument("--std-dev", type=float, metavar="SD", help="its standard deviation, if it is not a rate")
    parser.add_argument("--units-per-day", type=float, metavar="N", help="units a day over all treatments")
    parser.add_argument("--effect", type=float, metavar="LIFT", help="relative effect to find, such as 0.04 for 4 %%")
    parser.add_argument("--days", type=int, metavar="N", help="length of the experiment, or of the last stage")
    add_allocation(parser)
    parser.add_argument(
        "--stage",
        action="append",
        type=_ramp,
        default=[],
        dest="stages",
        metavar="SHARES=DAYS",
        help="a stage before the last one that only rolls back, such as 90/10=2; repeat it for each",
    )
    parser.add_argument(
        "--guardrail",
        action="append",
        type=_guardrail,
        default=[],
        dest="guardrails",
        metavar="KEY=MEAN",
        help="a guardrail with its own mean, such as errors=0.004 or page-load-ms=900,sd=400,margin=0.05,lower; repeat "
        "it for each",
    )
    parser.add_argument(
        "--correlation",
        action="append",
        type=_correlation,
        default=[],
        dest="correlations",
        metavar="R",
        help="correlation of a covariate with the metrics (CUPED); repeat it to compare several [0.3, 0.5, 0.7]",
    )
    parser.add_argument("--power", type=float, metavar="X", help="the power to plan for; the policy's, 0.8")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a picture, such as power.svg")


def run(arguments: argparse.Namespace) -> int:
    """Plan and print.

    Returns:
        :attr:`ExitCode.OK`.

    Raises:
        CliError: The file, an argument or a missing package makes it impossible.
    """
    try:
        _run(arguments)
    except ModuleNotFoundError as error:
        raise CliError(f"needs {error.name}: install the provider with its extra `simulation`") from None
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from None
    return ExitCode.OK


def _run(arguments: argparse.Namespace) -> None:
    from airflow_provider_launchdarkly.decision.power import CORRELATIONS, describe, plan_power

    effect = arguments.effect
    if effect is not None and not 0 < effect <= 1:
        raise ValueError(
            f"--effect {effect:g}: write the size of the lift as a share above 0, such as 0.04 for 4 %; the policy "
            "says whether higher or lower is better"
        )
    stages, traffic = _stages(arguments)
    plan = plan_power(stages, traffic, effect=effect, correlations=tuple(arguments.correlations) or CORRELATIONS)
    if arguments.picture is not None:
        _draw(plan, arguments.picture)
    print(json.dumps(plan.to_json(), indent=2) if arguments.format == "json" else describe(plan))


def _draw(plan: PowerPlan, path: Path) -> None:
    from airflow_provider_launchdarkly.simulation.power_picture import write_power_picture

    write_power_picture(plan, path)


def _stages(arguments: argparse.Namespace) -> tuple[Sequence[Stage], Traffic]:
    """Return the stages and the traffic of a rollout file, or of a policy and the options."""
    if arguments.file is not None and arguments.preset is not None:
        raise ValueError("give a file or --preset NAME, and not both")
    if arguments.file is not None and _has_rollouts(arguments.file):
        return _rollout_stages(arguments)
    if arguments.rollout is not None:
        raise ValueError(f"--rollout {arguments.rollout} needs a file with rollouts")
    from airflow_provider_launchdarkly.decision.allocation import Allocation
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_files import read_policy
    from airflow_provider_launchdarkly.decision.power import Stage

    base = read_policy(arguments.file) if arguments.file is not None else Policy.preset(arguments.preset or "balanced")
    policy, traffic = _changed(base, arguments)
    count = len(arguments.stages) + 1
    # As in a rollout, the stages share the error for harm.
    fields = {**policy.to_json(), "alpha_harm": policy.alpha_harm / count}
    last = Stage(str(count), Policy.from_json(fields), Allocation.of_shares(arguments.allocation))
    before = [
        Stage(str(number), _short(fields, ramp.days), Allocation.of_shares(ramp.shares), ships=False)
        for number, ramp in enumerate(arguments.stages, start=1)
    ]
    return (*before, last), traffic


def _short(fields: dict[str, Any], days: float) -> Policy:
    from airflow_provider_launchdarkly.decision.policy import Policy

    length = f"{round(24 * days)}h"
    changed: dict[str, Any] = {"min_duration": length, "max_duration": length, "planned_units": None, "traffic": None}
    if fields["looks"]["times"]:
        changed["looks"] = {"only_at_end": True}
    return Policy.from_json({**fields, **changed})


def _has_rollouts(path: Path) -> bool:
    from airflow_provider_launchdarkly.config.regular_files import read_text

    return any(line.startswith("rollouts:") for line in read_text(path).splitlines())


def _rollout_stages(arguments: argparse.Namespace) -> tuple[Sequence[Stage], Traffic]:
    from airflow_provider_launchdarkly.rollout.files import Broken, read_files
    from airflow_provider_launchdarkly.rollout.power import power_stages
    from airflow_provider_launchdarkly.rollout.spec import Rollout

    if arguments.stages:
        raise ValueError("--stage is for plans without a rollout file, which has its own stages")
    entries = list(read_files([arguments.file]))
    problems = [str(problem) for entry in entries if isinstance(entry, Broken) for problem in entry.problems]
    if problems:
        raise ValueError("\n".join(problems))
    found = dict(each for entry in entries if not isinstance(entry, Broken) for each in entry.by_name())
    names = ", ".join(sorted(found))
    name = arguments.rollout or (next(iter(found)) if len(found) == 1 else None)
    if name is None:
        raise ValueError(f"{arguments.file} has several rollouts: choose one with --rollout, of {names}")
    if name not in found:
        raise ValueError(f"{arguments.file} has no rollout {name!r}, only {names}")
    rollout = found[name]
    policy, traffic = _changed(rollout.policy, arguments)
    fields = {**rollout.to_json(), "policy": policy.to_json()}
    if arguments.days is not None:
        fields["stages"][-1]["dwell"] = None
    return power_stages(Rollout.from_json(fields)), traffic


def _changed(policy: Policy, arguments: argparse.Namespace) -> tuple[Policy, Traffic]:
    """Return the policy with what the command line gives, and its traffic."""
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Traffic

    fields = policy.to_json()
    given = {"units_per_day": arguments.units_per_day, "mean": arguments.baseline, "std_dev": arguments.std_dev}
    traffic = {**(fields["traffic"] or {}), **{name: value for name, value in given.items() if value is not None}}
    missing = [option for option, name in _NEEDED.items() if name not in traffic]
    if missing:
        raise ValueError(f"{' and '.join(missing)} missing: give the options, or a file whose policy has `traffic`")
    if arguments.baseline is not None and arguments.std_dev is None:
        traffic["std_dev"] = None
    known = {guardrail["metric"]: guardrail for guardrail in fields["guardrails"]}
    traffic["metrics"] = dict(traffic.get("metrics") or {})
    for guardrail in arguments.guardrails:
        known[guardrail.metric] = {**known.get(guardrail.metric, {"metric": guardrail.metric}), **guardrail.fields}
        traffic["metrics"][guardrail.metric] = guardrail.baseline
    fields["guardrails"] = list(known.values())
    if arguments.days is not None:
        fields["max_duration"] = f"{arguments.days}d"
        fields["min_duration"] = f"{min(arguments.days, policy.min_duration.days)}d"
    if arguments.power is not None:
        fields["power"] = arguments.power
    if fields["traffic"] is not None:
        fields["traffic"] = traffic
    else:
        # Only the file's own traffic plans units: with the options alone, time ends the plan.
        Policy.from_json({**fields, "traffic": traffic})
    return Policy.from_json(fields), Traffic.read(traffic)


_NUMBERS = {"mean": "mean", "sd": "std_dev", "margin": "margin"}
_NEEDED = {"--units-per-day": "units_per_day", "--baseline": "mean"}


def _ramp(text: str) -> _Ramp:
    allocation, _, days = text.partition("=")
    try:
        length = float(days)
    except ValueError:
        length = 0.0
    if not 0 < length <= 366:
        raise argparse.ArgumentTypeError(f"{text!r}: write the shares and the days, such as 90/10=2")
    return _Ramp(shares(allocation), length)


def _guardrail(text: str) -> _Guardrail:
    key, _, rest = text.partition("=")
    mean, *options = rest.split(",")
    numbers, fields = {"mean": mean}, {}
    for option in options:
        name, _, value = option.partition("=")
        if option in {"higher", "lower"}:
            fields["direction"] = option
        else:
            numbers[name] = value
    try:
        baseline = {_NUMBERS[name]: float(value) for name, value in numbers.items()}
    except (KeyError, ValueError):
        baseline = {}
    if not key or not baseline:
        raise argparse.ArgumentTypeError(
            f"{text!r}: write KEY=MEAN, such as errors=0.004, then sd=SD, margin=SHARE, higher or lower, each after a "
            "comma"
        )
    margin = {"margin": baseline.pop("margin")} if "margin" in baseline else {}
    return _Guardrail(key, baseline, {**fields, **margin})


def _correlation(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no correlation from 0 to below 1")
    return found
