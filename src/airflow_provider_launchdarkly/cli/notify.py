"""The command `notify`: show what people would be told of rollouts, and send a test message."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.cli.exit import CliError, ExitCode
from airflow_provider_launchdarkly.cli.rollout_files import read_rollouts

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from airflow_provider_launchdarkly.cli.arguments import Commands
    from airflow_provider_launchdarkly.notifications.channels import Channel
    from airflow_provider_launchdarkly.notifications.events import Message
    from airflow_provider_launchdarkly.rollout.files import NamedRollout
    from airflow_provider_launchdarkly.rollout.spec import Rollout
    from airflow_provider_launchdarkly.rollout.waves import Waves


def add_parser(commands: Commands) -> None:
    """Add `notify` to the command line."""
    parser = commands.add_parser(
        "notify",
        help="show what people would be told of rollouts, and send a test message",
        description=(
            "Show, for each event of the rollouts in a file, a sample message and the channels that take it. Only "
            "--send sends anything. Exits with 1 if a file is wrong, if it names no channel, or if a channel fails."
        ),
    )
    parser.add_argument(
        "--test", nargs="+", type=Path, required=True, metavar="FILE", dest="files", help="rollout files or folders"
    )
    parser.add_argument(
        "--event", action="append", metavar="EVENT", help="only this event, such as harm or ended.ship; repeatable"
    )
    parser.add_argument(
        "--send",
        action="store_true",
        help=(
            "send a test message through each channel: that of --event, else of the first event that it takes; from "
            "where Airflow's connections are found"
        ),
    )


def run(arguments: argparse.Namespace) -> int:
    """Show the messages, and send one through each channel if that is asked for.

    Returns:
        :attr:`ExitCode.ERROR` if a file is wrong or a channel failed.

    Raises:
        CliError: There is no such event, or no rollout names a channel.
    """
    from airflow_provider_launchdarkly.rollout.notify import EVENT_NAMES

    wanted = arguments.event or []
    if unknown := [name for name in wanted if name not in EVENT_NAMES]:
        raise CliError(f"--event {unknown[0]} does not exist; write one of {', '.join(EVENT_NAMES)}")
    rollouts, failures = read_rollouts(arguments.files)
    told = [each for entry in rollouts for each in _each_of(entry) if each.rollout.notify]
    if rollouts and not told:
        raise CliError(f"{rollouts[0].file}: no rollout names a channel; write notify: [{{through: slack}}]")
    for entry in told:
        messages = [(name, message) for name, message in _messages(entry) if _is_asked_for(name, wanted)]
        if arguments.send:
            failures += _send(entry, messages)
        else:
            print("\n".join(_shown(entry, messages)))
    return ExitCode.ERROR if failures else ExitCode.OK


@dataclass(frozen=True, slots=True)
class _Told:
    """A rollout whose messages are shown: its name, with the environment or target, where it stands, and its waves."""

    name: str
    rollout: Rollout
    file: Path
    line: int
    waves: Waves | None = None


def _each_of(entry: NamedRollout) -> Iterator[_Told]:
    from airflow_provider_launchdarkly.rollout.waves import Waves

    content = entry.content
    waves = content if isinstance(content, Waves) else None
    for name, rollout in entry.by_name():
        yield _Told(name, rollout, entry.file, entry.line, waves)


def _is_asked_for(name: str, wanted: Sequence[str]) -> bool:
    return not wanted or name in wanted or name.partition(".")[0] in wanted


def _messages(entry: _Told) -> Iterator[tuple[str, Message]]:
    from airflow_provider_launchdarkly.rollout.samples import sample_messages

    return sample_messages(entry.rollout, datetime.now(UTC), entry.waves)


def _channels(entry: _Told) -> tuple[Channel, ...]:
    from airflow_provider_launchdarkly.rollout.notify import channels_of

    return channels_of(entry.rollout.notify)


def _shown(entry: _Told, messages: Sequence[tuple[str, Message]]) -> Iterator[str]:
    from airflow_provider_launchdarkly.notifications.messages import MESSAGES

    for name, message in messages:
        takers = [channel.label for channel in _channels(entry) if channel.takes(message.event, message.ending)]
        yield f"{entry.name}: {name}, told through {', '.join(takers) or 'no channel'}"
        yield from (f"    {line}".rstrip() for line in MESSAGES["text"](message).splitlines())
        yield ""


def _send(entry: _Told, messages: Sequence[tuple[str, Message]]) -> int:
    """Send a test message through each channel; return how many failed."""
    from airflow_provider_launchdarkly.notifications.sending import send_now

    # Airflow reads the connections in its database only in a process that says that it may.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    failures = 0
    for number, channel in enumerate(_channels(entry)):
        place = f"{entry.file}:{entry.line}: {entry.name}: notify[{number}], {channel.label}"
        first = next((each for each in messages if channel.takes(each[1].event, each[1].ending)), None)
        if first is None:
            print(f"{place}: takes none of these events; nothing is sent")
            continue
        name, message = first
        error = send_now(replace(message, headline=f"Test: {message.headline}", key=f"{message.key}-test"), channel, {})
        if error is None:
            print(f"{place}: sent a test message of {name}")
        else:
            failures += 1
            cure = "; make it in Airflow, or correct `connection`" if error.startswith("AirflowNotFound") else ""
            print(f"{place}: not sent: {error}{cure}", file=sys.stderr)
    return failures
