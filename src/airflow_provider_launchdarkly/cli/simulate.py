"""The command `simulate`: measure what a policy costs. Imports numpy only when it runs."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.cli.arguments import add_allocation, whole_number
from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.simulation.report import Report, Scenario

# The values of `simulation.world.Arrivals`, which would load numpy for every command.
ARRIVALS = (
    "even",
    "weekdays",
    "growing",
    "surging",
    "growing-tenfold",
    "surging-tenfold",
    "shrinking",
    "dying",
    "press-day",
    "lost-day",
)

# A hundred times the default: more shows no other rates, and fills the memory of a usual machine.
MOST_EXPERIMENTS = 1_000_000

# Units a day that the simulated worlds can draw, and values of a metric whose powers stay numbers.
_LEAST_UNITS, _MOST_UNITS = 1e-3, 1e12
_LARGEST_VALUE = 1e50

_BUDGETS = {
    "false_ship": "most experiments without effect that may ship",
    "false_rollback": "most experiments without effect that may be rolled back",
    "mismatch_false_alarm": "most properly split experiments that may be called invalid",
    "mean_stop_day": "longest mean run of an experiment with the effect, in days",
}


def add_parser(commands: Commands) -> None:
    """Add `simulate` to the command line."""
    parser = commands.add_parser(
        "simulate",
        help="measure what a policy costs: false ships, power, days",
        description="Run a policy on simulated experiments of known truth. Exits with 2 if a budget is exceeded.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("policy", nargs="?", type=Path, metavar="POLICY", help="policy as a YAML file")
    parser.add_argument("--preset", metavar="NAME", help="a preset instead of a file: balanced, do_no_harm, ...")
    parser.add_argument("--baseline", type=float, metavar="MEAN", help="mean or rate of the primary metric [0.1]")
    parser.add_argument("--std-dev", type=float, metavar="SD", help="its standard deviation, if it is not a rate")
    parser.add_argument("--units-per-day", type=float, metavar="N", help="units a day over all treatments [2000]")
    parser.add_argument(
        "--effect",
        type=float,
        metavar="LIFT",
        help="relative lift, such as 0.05; without it the policy's own, else the one that a fixed two-sided 5 %% test "
        "finds with 80 %% power",
    )
    add_allocation(parser)
    parser.add_argument(
        "--arrivals",
        default="even",
        choices=ARRIVALS,
        help="how traffic is spread over the days",
    )
    parser.add_argument(
        "--experiments",
        type=whole_number(1, MOST_EXPERIMENTS),
        default=10_000,
        metavar="N",
        help="experiments for each truth",
    )
    parser.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=1, help="seed of the random numbers")
    for name, text in _BUDGETS.items():
        parser.add_argument(f"--max-{name.replace('_', '-')}", type=float, metavar="X", help=f"budget: {text}")
    parser.add_argument("--min-power", type=float, metavar="X", help="budget: least power")
    parser.add_argument("--picture", type=Path, metavar="FILE", help="write a picture, such as simulation.png")
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="write charts and measures as one HTML file; it loads nothing"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(arguments: argparse.Namespace) -> int:
    """Simulate and print.

    Returns:
        :attr:`ExitCode.FINDING` if a budget is exceeded.

    Raises:
        CliError: The policy, an argument or a missing package makes it impossible.
    """
    try:
        return _run(arguments)
    except ModuleNotFoundError as error:
        raise CliError(f"needs {error.name}: install the provider with its extra `simulation`") from None
    except (ValueError, OSError) as error:
        raise CliError(str(error)) from None


def _run(arguments: argparse.Namespace) -> int:
    effect = arguments.effect
    if effect is not None and not math.isfinite(effect):
        raise ValueError(f"--effect {effect:g} is no lift; write a number such as 0.05 for 5 %")
    if effect is not None and abs(effect) > 1:
        raise ValueError(
            f"--effect {effect:g} is a lift of {100 * effect:g} %; write {effect / 100:g} for {effect:g} %"
        )
    policy = _policy(arguments)
    from airflow_provider_launchdarkly.decision.plan_concerns import find_plan_concerns
    from airflow_provider_launchdarkly.simulation.report import exceeded, simulate

    scenario = _scenario(arguments, policy)
    simulation = simulate(policy, scenario)
    over = exceeded(policy, simulation.report)
    if arguments.picture is not None:
        from airflow_provider_launchdarkly.simulation.picture import write_picture

        write_picture(policy, simulation, scenario.allocation, arguments.picture)
    expected = policy.model_copy(update={"traffic": scenario.traffic})
    concerns = (*policy.concerns(), *find_plan_concerns(expected, scenario.allocation), *_left_out(policy))
    if arguments.report is not None:
        from airflow_provider_launchdarkly.cli.simulation_report import simulation_page

        page = simulation_page(policy, scenario, simulation, rows(simulation.report), concerns=concerns, exceeded=over)
        arguments.report.write_text(page, encoding="utf-8")
    if arguments.json:
        print(json.dumps({**simulation.report.to_json(), "concerns": concerns, "exceeded": over}, indent=2))
    else:
        print(table(simulation.report))
        for line in (*(f"concern: {text}" for text in concerns), *(f"EXCEEDED: {text}" for text in over)):
            print(line)
    return ExitCode.FINDING if over else ExitCode.OK


def table(report: Report) -> str:
    """Return the measures as a table, with the simulation's error (two standard errors) beside each share."""
    return "\n".join([*heads(report), *(f"{name:<44}{value}".rstrip() for name, value in rows(report))])


def heads(report: Report) -> tuple[str, str]:
    """Return what was simulated, and when the plan ends."""
    return (
        f"{report.experiments} experiments of {report.looks} looks in {report.planned_days:g} days, for each truth",
        _end(report),
    )


def rows(report: Report) -> list[tuple[str, str]]:
    """Return the measures with their names; a truth is a row without a value, and its measures are indented."""

    def share(value: float) -> str:
        error = 2.0 * (max(value * (1.0 - value), 1.0 / report.experiments) / report.experiments) ** 0.5
        return f"{100 * value:6.2f} % ± {100 * error:.2f}"

    def day(value: float | None) -> str:
        return "     -" if value is None else f"{value:6.1f}"

    def ratio(value: float | None) -> str:
        return "     -" if value is None else f"{value:6.2f}"

    holds = "     -" if report.interval_coverage is None else share(report.interval_coverage)
    return [
        ("without effect", ""),
        ("  shipped (false ship)", share(report.false_ship)),
        ("  rolled back (false rollback)", share(report.false_rollback)),
        ("  called invalid (mismatch false alarm)", share(report.mismatch_false_alarm)),
        ("  ended early (futile)", share(report.futile_no_effect)),
        ("  mean days", day(report.mean_stop_day_no_effect)),
        (f"with an effect of {100 * report.effect:+.2f} %", ""),
        ("  shipped (power)", share(report.power)),
        ("  ended early (futile)", share(report.futile)),
        ("  mean days", day(report.mean_stop_day)),
        ("  median day of shipping", day(report.median_ship_day)),
        ("  observed over true lift (winner's curse)", ratio(report.winners_curse)),
        ("  bias-adjusted over true lift", ratio(report.bias_adjusted)),
        ("  95 % interval holds the lift", holds),
        (f"with a harm of {100 * report.harm:+.2f} %", ""),
        ("  rolled back (harm found)", share(report.harm_found)),
        ("  median day of rolling back", day(report.median_harm_day)),
        ("with a split off by one percentage point", ""),
        ("  called invalid (mismatch found)", share(report.mismatch_found)),
    ]


def _end(report: Report) -> str:
    """Return when the plan ends, in a line."""
    last = f"day {report.planned_days:g}"
    if report.planned_units is None:
        return f"the plan ends on {last}"
    full = f"do not arrive before {last}" if report.full_day is None else f"arrive by day {report.full_day:.1f}"
    return f"the plan ends at {report.planned_units:,} units, which {full}"


def _policy(arguments: argparse.Namespace) -> Policy:
    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_files import read_policy
    from airflow_provider_launchdarkly.decision.policy_parts import Budget

    if (arguments.policy is None) == (arguments.preset is None):
        raise ValueError("give a policy file or --preset NAME, and not both")
    policy = read_policy(arguments.policy) if arguments.policy is not None else Policy.preset(arguments.preset)
    limits: dict[str, Any] = {name: getattr(arguments, f"max_{name}") for name in _BUDGETS}
    limits["power"] = arguments.min_power
    given = {name: value for name, value in limits.items() if value is not None}
    if not given:
        return policy
    budget = policy.budget.model_dump() if policy.budget is not None else {}
    return policy.model_copy(update={"budget": Budget.read({**budget, **given})})


def _scenario(arguments: argparse.Namespace, policy: Policy) -> Scenario:
    from airflow_provider_launchdarkly.decision.policy_parts import Traffic
    from airflow_provider_launchdarkly.simulation.report import USUAL_TRAFFIC, Scenario
    from airflow_provider_launchdarkly.simulation.world import Arrivals

    expected = policy.traffic or USUAL_TRAFFIC
    given = {"units_per_day": arguments.units_per_day, "mean": arguments.baseline, "std_dev": arguments.std_dev}
    for name, value, least, most in (
        ("units-per-day", arguments.units_per_day, _LEAST_UNITS, _MOST_UNITS),
        ("baseline", arguments.baseline, -_LARGEST_VALUE, _LARGEST_VALUE),
        ("std-dev", arguments.std_dev, 1.0 / _LARGEST_VALUE, _LARGEST_VALUE),
    ):
        if value is not None and not least <= value <= most:
            raise ValueError(f"--{name} {value:g} cannot be simulated; write a number from {least:g} to {most:g}")
    merged = {**expected.model_dump(), **{name: value for name, value in given.items() if value is not None}}
    return Scenario(
        traffic=Traffic.read(merged),
        effect=arguments.effect,
        shares=arguments.allocation,
        arrivals=Arrivals(arguments.arrivals),
        experiments=arguments.experiments,
        seed=arguments.seed,
    )


def _left_out(policy: Policy) -> tuple[str, ...]:
    """Return a sentence on what no simulation shows; none if it shows everything."""
    if not policy.release_guardrails:
        return ()
    return ("release_guardrails are left out here: LaunchDarkly judges them, and they only ever stop or delay a ship",)
