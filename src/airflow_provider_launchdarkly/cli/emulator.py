"""The command `emulator`: LaunchDarkly's experiments API on this machine."""

from __future__ import annotations

import argparse
import json
import math
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.emulator.state.models import World
    from airflow_provider_launchdarkly.emulator.transport.engine import Emulator


def add_parser(commands: Commands) -> None:
    """Add `emulator` to the command line."""
    parser = commands.add_parser(
        "emulator",
        help="run LaunchDarkly's experiments API on this machine",
        description="Run LaunchDarkly's experiments API on this machine, with simulated people and a clock to turn.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=_port, default=8700, help="port to listen on; 0 takes a free one")
    parser.add_argument("--seed", type=int, default=42, help="seed of every id and every simulated person")
    parser.add_argument("--token", type=_token, default="api-emulator", help="access token to accept")
    beginning = parser.add_mutually_exclusive_group()
    beginning.add_argument(
        "--scenario",
        default="effect",
        help="truth about the people: effect, no-effect, broken-split, no-traffic or harm",
    )
    beginning.add_argument("--world", metavar="FILE", help="YAML file with a world of your own, in place of a scenario")
    beginning.add_argument("--load", metavar="FILE", help="JSON file with a snapshot to go on from")
    parser.add_argument(
        "--like",
        metavar="FILE",
        help="behave like the account of a report of `airflow-launchdarkly doctor --write FILE`",
    )
    parser.add_argument(
        "--clock-rate", type=float, default=1.0, metavar="N", help="emulated seconds per second; 86400 makes each a day"
    )
    parser.add_argument("--clock-start", metavar="TIME", help="ISO 8601 time to start at; now, if it is not given")
    parser.add_argument(
        "--set",
        dest="switches",
        type=_switch,
        action="append",
        default=[],
        metavar="SWITCH=POSITION",
        help="set a switch, such as results=gone; can be repeated",
    )
    parser.add_argument(
        "--warehouse",
        metavar="URL",
        help="write the people as rows into sqlite:///FILE or postgresql://USER@HOST/DATABASE",
    )
    parser.add_argument(
        "--warehouse-set",
        dest="warehouse_options",
        type=_option,
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="how the rows differ from the ideal, such as lag=PT20M; can be repeated",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until a signal ends it.

    Raises:
        CliError: An argument or a file is wrong, or the port is taken.
    """
    try:
        from airflow_provider_launchdarkly.emulator.state.clock import parse_time
        from airflow_provider_launchdarkly.emulator.state.files import read_snapshot, read_world
        from airflow_provider_launchdarkly.emulator.state.likeness import Likeness, read_likeness
        from airflow_provider_launchdarkly.emulator.state.settings import Settings
        from airflow_provider_launchdarkly.emulator.transport.engine import Emulator
        from airflow_provider_launchdarkly.emulator.transport.server import address_of, listen, serve
        from airflow_provider_launchdarkly.emulator.warehouse.options import WarehouseOptions
        from airflow_provider_launchdarkly.emulator.warehouse.writer import Warehouse
    except ModuleNotFoundError as error:
        raise CliError(f"needs {error.name}: install the provider with its extra `emulator`") from None
    if arguments.warehouse_options and not arguments.warehouse:
        raise CliError("--warehouse-set: there is no warehouse to set it for; give --warehouse URL too")
    try:
        like = read_likeness(arguments.like) if arguments.like else Likeness()
        snapshot = read_snapshot(arguments.load) if arguments.load else None
        start = arguments.clock_start or (snapshot and snapshot.get("time"))
        options = WarehouseOptions.from_dict({**like.warehouse, **dict(arguments.warehouse_options)})
        warehouse = Warehouse(arguments.warehouse, options) if arguments.warehouse else None
        emulator = Emulator(
            seed=arguments.seed,
            scenario=arguments.scenario,
            token=arguments.token,
            settings=Settings().changed({**like.switches, **dict(arguments.switches)}),
            start=parse_time(start) if isinstance(start, str) else None,
            rate=arguments.clock_rate,
            world=read_world(arguments.world) if arguments.world else None,
            like=like,
            warehouse=warehouse,
        )
        if snapshot is not None:
            emulator.load(snapshot)
            emulator.settings = emulator.settings.changed({**like.switches, **dict(arguments.switches)})
        else:
            emulator.write_warehouse()
    except ValueError as error:
        raise CliError(str(error)) from None
    try:
        listening = listen(arguments.host, arguments.port)
    except OSError as error:
        place = f"{arguments.host}:{arguments.port}"
        raise CliError(f"cannot listen on {place} ({error.strerror}); choose another with --port") from None
    greeting = _greeting(address_of(listening), emulator, arguments)
    serve(emulator, listening, on_start=lambda: print(greeting, flush=True))
    return ExitCode.OK


def _greeting(url: str, emulator: Emulator, arguments: argparse.Namespace) -> str:
    world, begun = emulator.world, arguments.world or arguments.load
    project = next(iter(world.projects.values()), None)
    environments = list(project.environments) if project else []
    places = {"project_key": project.key} if project else {}
    places |= {"environment_key": environments[0]} if environments else {}
    connection = {"conn_type": "launchdarkly", "host": url, "password": arguments.token, "extra": places}
    rate = "stands still" if emulator.clock.rate == 0 else f"runs at {emulator.clock.rate:g} times real time"
    quoted = json.dumps(connection).replace("'", "'\\''")
    return f"""LaunchDarkly emulator on {url}
  {f"world     {begun}" if begun else f"scenario  {emulator.scenario}"}, seed {emulator.seed}
  clock     {emulator.clock.now():%Y-%m-%d %H:%M:%S} UTC, {rate}
{_warehouse(emulator)}{_projects(world)}

The Airflow connection for it:
  export AIRFLOW_CONN_LAUNCHDARKLY_DEFAULT='{quoted}'
{_poll_interval(emulator.clock.rate)}
Controls, which need no token. A POST states application/json, without a body too: curl --json ''.
  GET, POST          {url}/__emulator__/clock      {{"set": TIME}}, {{"advance": "P10D"}} or {{"rate": N}}
  POST               {url}/__emulator__/reset
  GET                {url}/__emulator__/snapshot
  POST               {url}/__emulator__/load       what snapshot gave
  GET                {url}/__emulator__/journal
  GET                {url}/__emulator__/requests?after=0
  GET, POST, DELETE  {url}/__emulator__/faults
  GET, POST          {url}/__emulator__/settings
  GET, POST          {url}/__emulator__/warehouse

Ctrl-C ends it."""


def _poll_interval(rate: float) -> str:
    """Return the setting with which sensors poll twice in an emulated day; nothing for a clock of that pace."""
    seconds = 43200 / rate if rate > 0 else math.inf
    if seconds >= 300:
        return ""
    setting = f"  export AIRFLOW__LAUNCHDARKLY__POLL_INTERVAL={seconds:.3g}"
    return f"Sensors poll every 300 s of real time; to poll twice in an emulated day:\n{setting}\n"


def _warehouse(emulator: Emulator) -> str:
    return f"  warehouse {emulator.warehouse.name}\n" if emulator.warehouse is not None else ""


def _projects(world: World) -> str:
    return "\n".join(
        f"  project   {project.key}, environments {', '.join(project.environments)}"
        for project in world.projects.values()
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 65536):
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _token(text: str) -> str:
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise argparse.ArgumentTypeError("a token is printable ASCII text without spaces")
    return text


def _switch(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"a switch is written as name=position, not {text!r}")
    return name, value


def _option(text: str) -> tuple[str, str | float]:
    name, equals, value = text.partition("=")
    if not equals:
        raise argparse.ArgumentTypeError(f"an option is written as name=value, not {text!r}")
    try:
        return name, float(value)
    except ValueError:
        return name, value
