"""The field `notify` of a rollout: who is told of which events, and through what. No Airflow."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from airflow_provider_launchdarkly.config.keys import check_text
from airflow_provider_launchdarkly.config.problems import FieldError
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.notifications.channels import KNOWN, Channel
from airflow_provider_launchdarkly.notifications.events import names_of_events
from airflow_provider_launchdarkly.rollout.options import Ending

if TYPE_CHECKING:
    from collections.abc import Iterable

EVENT_NAMES = names_of_events(tuple(Ending))
"""The events that `events` may hold."""

_IMPORT_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", re.ASCII)
_SECRET = re.compile(r"token|secret|password|api_?key|integration_key", re.IGNORECASE)


def _event(value: str) -> str:
    if value not in EVENT_NAMES:
        raise ValueError(f"{value!r} is no event; write one of {', '.join(EVENT_NAMES)}")
    return value


def _through(value: str) -> str:
    if value not in KNOWN and not _IMPORT_PATH.fullmatch(value):
        raise ValueError(
            f"{value!r} is no channel; write one of {', '.join(KNOWN)}, or the import path of a notifier, such as "
            "my_team.notify.Pager"
        )
    return value


EventName = Annotated[str, AfterValidator(_event), Field(json_schema_extra={"enum": list(EVENT_NAMES)})]


class Notify(StrictModel):
    """One way to tell people of a rollout's events.

    Attributes:
        through: ``slack``, ``slack_webhook``, ``email``, ``teams`` or ``pagerduty``; or the import path of any class of
            Airflow's ``BaseNotifier``.
        connection: Id of the Airflow connection, which has address and token. Default: the notifier's own. For an
            import path, write it in `arguments`.
        events: The events that are told. Default: all. ``ended`` is any ending, ``ended.rollback`` one of them.
        arguments: Further arguments of the notifier, such as ``channel`` for Slack and ``to`` for e-mail.
        field: The notifier's argument that takes the text, for an import path.
        markup: The text's markup, for an import path.
    """

    through: Annotated[str, AfterValidator(_through)]
    connection: Annotated[str, Field(min_length=1), AfterValidator(check_text)] | None = None
    events: tuple[EventName, ...] = ()
    arguments: dict[str, Any] = Field(default_factory=dict)
    field: Annotated[str, Field(min_length=1)] = "text"
    markup: Literal["text", "markdown", "slack", "html"] = "text"

    @model_validator(mode="after")
    def _check(self) -> Self:
        known = KNOWN.get(self.through)
        for name in self.arguments:
            if _SECRET.search(name):
                message = f"{name} would be a secret in a file; put it into the Airflow connection"
                raise FieldError(("arguments", name), message)
        if known is None:
            if self.connection is not None:
                message = f"{self.connection!r} goes with a channel's name; write it in `arguments` for an import path"
                raise FieldError(("connection",), message)
            return self
        own = {*known.text, known.connection}
        if filled := sorted(own & set(self.arguments)):
            cure = "use `connection`" if filled[0] == known.connection else "leave it out"
            raise FieldError(("arguments", filled[0]), f"{filled[0]} is filled in for {self.through}; {cure}")
        if missing := [name for name in known.required if name not in self.arguments]:
            raise FieldError(("arguments",), f"{missing[0]} is missing; {self.through} needs it")
        if {"field", "markup"} & self.model_fields_set and (self.field, self.markup) != ("text", "text"):
            raise FieldError(("field",), f"field and markup are for import paths; {self.through} has its own")
        return self


def channels_of(notify: Iterable[Notify]) -> tuple[Channel, ...]:
    """Return the channels that a rollout's `notify` describes."""
    return tuple(
        Channel(each.through, each.connection, each.events, each.arguments, each.field, each.markup) for each in notify
    )
