"""Escapes text for the markups in which cards and messages are written. Pure."""

from __future__ import annotations

import html
import re


def escape_markdown(text: str) -> str:
    """Return text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", text)


def escape_slack(text: str) -> str:
    """Return text that Slack's mrkdwn shows as it is, with an apostrophe for a backtick."""
    return html.escape(text, quote=False).replace("`", "'")


def one_line(text: str) -> str:
    """Return text without line breaks, for a headline or a mail's subject."""
    return " ".join(text.split())
