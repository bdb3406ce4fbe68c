"""A message about a rollout in each markup: the headline, who gets what now, what follows, links, then the numbers.

Pure. Every text from LaunchDarkly, from a rollout or from a person is escaped.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.notifications.cards import CARDS
from airflow_provider_launchdarkly.notifications.markup import escape_markdown, escape_slack, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_launchdarkly.notifications.events import Message


def text_message(message: Message) -> str:
    """Return the message as plain text."""
    return _joined(
        one_line(message.headline),
        "\n".join(f"{title}: {text}" for title, text in message.facts),
        "\n".join(f"{title}: {url}" for title, url in message.links),
        _numbers(message, "text"),
    )


def markdown_message(message: Message) -> str:
    """Return the message as Markdown."""
    return _joined(
        f"**{escape_markdown(one_line(message.headline))}**",
        "\n".join(f"- {title}: {escape_markdown(one_line(text))}" for title, text in message.facts),
        " · ".join(f"[{title}](<{url}>)" for title, url in message.links),
        _numbers(message, "markdown"),
    )


def slack_message(message: Message) -> str:
    """Return the message as Slack's mrkdwn."""
    return _joined(
        f"*{escape_slack(one_line(message.headline))}*",
        "\n".join(f"• {title}: {escape_slack(one_line(text))}" for title, text in message.facts),
        " · ".join(f"<{url}|{title}>" for title, url in message.links),
        _numbers(message, "slack"),
    )


def html_message(message: Message) -> str:
    """Return the message as HTML without styles, for e-mail."""
    facts = "".join(f"<dt>{title}</dt><dd>{html.escape(text)}</dd>" for title, text in message.facts)
    links = " · ".join(f'<a href="{html.escape(url)}">{title}</a>' for title, url in message.links)
    return _joined(
        f"<h2>{html.escape(one_line(message.headline))}</h2>",
        f"<dl>{facts}</dl>" if facts else "",
        f"<p>{links}</p>" if links else "",
        _numbers(message, "html"),
    )


MESSAGES: Mapping[str, Callable[[Message], str]] = {
    "text": text_message,
    "markdown": markdown_message,
    "slack": slack_message,
    "html": html_message,
}
"""The message in each markup: ``MESSAGES["slack"](message)``."""


def _numbers(message: Message, markup: str) -> str:
    """Return the decision card of the verdict, if it has numbers."""
    return CARDS[markup](message.verdict) if message.verdict and message.verdict.get("metrics") else ""


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part)
