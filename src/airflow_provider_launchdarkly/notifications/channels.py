"""The channels through which messages go: other providers' notifiers, by a short name or by their import path.

A channel's connection is Airflow's: no address and no token is in a rollout. The notifier's package is imported when a
message is sent, never in a DAG file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_launchdarkly.notifications.events import Event, Message, is_wanted
from airflow_provider_launchdarkly.notifications.markup import escape_markdown, one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow.providers.common.compat.sdk import BaseNotifier

# PagerDuty's limit of a summary (https://developer.pagerduty.com/docs/events-api-v2/trigger-events/).
_LONGEST_SUMMARY = 1024


class ChannelError(ValueError):
    """A channel cannot be used: its package is missing, or the notifier refuses its arguments."""


class Known(NamedTuple):
    """A channel that has a short name.

    Attributes:
        path: Import path of the notifier.
        package: The distribution that has it.
        connection: The notifier's argument for the connection's id.
        text: The arguments that only the message fills.
        fill: Makes the notifier's arguments of a message.
        required: The arguments that only the user knows.
    """

    path: str
    package: str
    connection: str
    text: tuple[str, ...]
    fill: Callable[[Message], dict[str, Any]]
    required: tuple[str, ...] = ()


def _written(markup: str, message: Message) -> str:
    # Imported here: a DAG file names channels and writes no message.
    from airflow_provider_launchdarkly.notifications.messages import MESSAGES

    return MESSAGES[markup](message)


def _slack(message: Message) -> dict[str, Any]:
    return {"text": _written("slack", message)}


def _email(message: Message) -> dict[str, Any]:
    # Mail programs put messages that refer to the same one into one thread.
    thread = f"<{message.key}@airflow-provider-launchdarkly.invalid>"
    return {
        "subject": one_line(message.headline),
        "html_content": _written("html", message),
        "custom_headers": {"References": thread},
    }


def _teams(message: Message) -> dict[str, Any]:
    # An Adaptive Card for a webhook of Teams' Workflows:
    # https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/connectors-using
    body = [
        {"type": "TextBlock", "text": escape_markdown(one_line(message.headline)), "weight": "Bolder", "wrap": True},
        {"type": "FactSet", "facts": [{"title": name, "value": escape_markdown(text)} for name, text in message.facts]},
    ]
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
        "actions": [{"type": "Action.OpenUrl", "title": title, "url": url} for title, url in message.links],
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"json": {"type": "message", "attachments": [attachment]}, "method": "POST"}


def _pagerduty(message: Message) -> dict[str, Any]:
    return {
        "summary": one_line(message.headline)[:_LONGEST_SUMMARY],
        "severity": message.severity.value,
        "dedup_key": message.key,
        "source": "airflow",
        "custom_details": dict(message.facts),
        "links": [{"href": url, "text": title} for title, url in message.links],
    }


KNOWN: Mapping[str, Known] = {
    "slack": Known(
        "airflow.providers.slack.notifications.slack.SlackNotifier",
        "apache-airflow-providers-slack",
        "slack_conn_id",
        ("text",),
        _slack,
    ),
    "slack_webhook": Known(
        "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier",
        "apache-airflow-providers-slack",
        "slack_webhook_conn_id",
        ("text",),
        _slack,
    ),
    "email": Known(
        "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
        "apache-airflow-providers-smtp",
        "smtp_conn_id",
        ("html_content",),
        _email,
        ("to",),
    ),
    "teams": Known(
        "airflow.providers.http.notifications.HttpNotifier",
        "apache-airflow-providers-http",
        "http_conn_id",
        ("json",),
        _teams,
    ),
    "pagerduty": Known(
        "airflow.providers.pagerduty.notifications.pagerduty.PagerdutyNotifier",
        "apache-airflow-providers-pagerduty",
        "pagerduty_events_conn_id",
        ("summary",),
        _pagerduty,
    ),
}
"""The channels that have a short name."""


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people, and the events that go that way.

    Attributes:
        through: A name of :data:`KNOWN`, or the import path of any class of ``BaseNotifier``.
        connection: Id of the Airflow connection. Default: the notifier's own.
        events: Names of events, such as ``asked`` or ``ended.rollback``. None asks for all.
        arguments: Further arguments of the notifier, such as Slack's ``channel``. No templates.
        field: For an import path: the notifier's argument that takes the text.
        markup: For an import path: ``text``, ``markdown``, ``slack`` or ``html``.
    """

    through: str
    connection: str | None = None
    events: tuple[str, ...] = ()
    arguments: Mapping[str, Any] = field(default_factory=dict)
    field: str = "text"
    markup: str = "text"

    @property
    def label(self) -> str:
        """The channel in a few words: ``slack (slack_team)``."""
        return f"{self.through} ({self.connection})" if self.connection else self.through

    def takes(self, event: Event, ending: str | None = None) -> bool:
        """Return whether an event goes this way."""
        return is_wanted(self.events, event, ending)

    def notifier(self, message: Message) -> BaseNotifier:
        """Make the notifier that sends a message.

        Its text is set as it is and never rendered as a template.

        Raises:
            ChannelError: The notifier's package is not installed, or the notifier refuses the arguments.
        """
        known = KNOWN.get(self.through)
        text = known.fill if known else self._text
        arguments = {**text(message), **self.arguments}
        if self.connection is not None and known is not None:
            arguments[known.connection] = self.connection
        kind = self._kind(known)
        try:
            notifier: BaseNotifier = kind(**arguments)
        except TypeError as error:
            raise ChannelError(
                f"through {self.through}: {kind.__name__} refuses its arguments ({error}); correct `arguments`"
            ) from None
        return notifier

    def _text(self, message: Message) -> dict[str, Any]:
        return {self.field: _written(self.markup, message)}

    def _kind(self, known: Known | None) -> type[BaseNotifier]:
        path = self.through if known is None else known.path
        module, _, name = path.rpartition(".")
        try:
            kind = getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            cure = "correct the import path, or install its package"
            if known is not None:
                cure = f"install {known.package} where tasks run"
            raise ChannelError(f"through {self.through}: {path} cannot be imported ({error}); {cure}") from None
        from airflow.providers.common.compat.sdk import BaseNotifier

        if not (isinstance(kind, type) and issubclass(kind, BaseNotifier)):
            raise ChannelError(f"through {self.through}: {path} is no notifier; name a class of BaseNotifier")
        return kind
