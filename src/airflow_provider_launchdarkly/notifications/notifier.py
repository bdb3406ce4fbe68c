"""A notifier that writes a message about a decision, and sends it through another provider's notifier or to the log.

Slack, e-mail and other channels have notifiers in their own providers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, cast

from airflow.providers.common.compat.sdk import AirflowException, BaseNotifier
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.notifications.cards import CARDS
from airflow_provider_launchdarkly.templates.rendering import TypedTemplates

if TYPE_CHECKING:
    from airflow.sdk import Context


class LaunchDarklyNotifier(TypedTemplates, BaseNotifier):
    """Notify people of a decision, as a callback of a task, a DAG or a deadline.

    The message is the verdict's decision card. Without a verdict (the task failed before it had one, or a deadline was
    missed), the message describes the state of the run instead.

    Args:
        task_id: The task whose output is the verdict. Default: the task whose callback this is.
        through: The sender: the class of another notifier, a callable that takes the text, or the dotted path of
            either (required for deadlines, since Airflow stores their callbacks). Default: the log.
        arguments: Further arguments of ``through``. Templated, with the context of the callback.
        field: The argument of ``through`` that takes the text: ``text`` for Slack, ``html_content`` for SMTP.
        markup: ``text``, ``markdown``, ``slack`` or ``html``.
        launchdarkly_conn_id: The connection, for the link to LaunchDarkly. No request is sent.
        context: Set by Airflow, for deadlines.

    Raises:
        ValueError: The markup does not exist.
    """

    template_fields: Sequence[str] = ("task_id", "arguments")

    def __init__(
        self,
        *,
        task_id: str | None = None,
        through: type[BaseNotifier] | Callable[..., Any] | str | None = None,
        arguments: Mapping[str, Any] | None = None,
        field: str = "text",
        markup: str = "text",
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        context: Context | None = None,
    ) -> None:
        if markup not in CARDS:
            raise ValueError(f"markup is {markup!r}; write one of {', '.join(CARDS)}")
        self.task_id = task_id
        self.through = through
        self.arguments = dict(arguments or {})
        self.field = field
        self.markup = markup
        self.launchdarkly_conn_id = launchdarkly_conn_id
        super().__init__(context)

    @override
    def notify(self, context: Context) -> None:
        """Send the message from a task's or a DAG's callback."""
        message = self.message(context)
        match self._sender():
            case None:
                self.log.info("%s", message)
            case BaseNotifier() as notifier:
                setattr(notifier, self.field, message)
                notifier.notify(context)
            case send:
                send(message, **self.arguments)

    @override
    async def async_notify(self, context: Context) -> None:
        """Send the message from a deadline's callback, in the triggerer."""
        message = self.message(context)
        match self._sender():
            case None:
                self.log.info("%s", message)
            case BaseNotifier() as notifier:
                setattr(notifier, self.field, message)
                await notifier.async_notify(context)
            case send:
                sent = send(message, **self.arguments)
                if hasattr(sent, "__await__"):
                    await sent

    def message(self, context: Context) -> str:
        """Return the text to send: a decision card, what a person has to do in LaunchDarkly, or the run's state."""
        if told := _handed_over(context):
            return told
        verdict = self._verdict(context)
        if verdict is None:
            return _without_verdict(cast("Mapping[str, Any]", context))
        return CARDS[self.markup](verdict, url=self._url(verdict))

    def _verdict(self, context: Context) -> Mapping[str, Any] | None:
        ti = context.get("ti")
        if ti is None:
            return None
        output = ti.xcom_pull(task_ids=self.task_id or ti.task_id)
        if isinstance(output, Mapping) and isinstance(output.get("verdict"), str):
            return output
        return None

    def _url(self, verdict: Mapping[str, Any]) -> str | None:
        # Imported here, as everything that only a running task needs.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        hook = LaunchDarklyHook(self.launchdarkly_conn_id, verdict.get("project_key"), verdict.get("environment_key"))
        try:
            return hook.experiment_url(str(verdict["experiment_key"]))
        except (KeyError, AirflowException, LaunchDarklyError):
            return None  # a message without its link is better than none

    def _sender(self) -> BaseNotifier | Callable[..., Any] | None:
        """Return the notifier with its arguments, or the callable; None for the log."""
        through: Any = self.through
        if isinstance(through, str):
            module, _, name = through.rpartition(".")
            through = getattr(import_module(module), name)
        if not (isinstance(through, type) and issubclass(through, BaseNotifier)):
            return cast("Callable[..., Any] | None", through)
        # The text is set afterwards, so that text from LaunchDarkly is never rendered as a template.
        notifier: BaseNotifier = through(**{self.field: ""} | self.arguments)
        if not hasattr(notifier, self.field):
            raise ValueError(f"{through.__name__} has no {self.field!r} to put the message in; set field=")
        return notifier


def _handed_over(context: Mapping[str, Any]) -> str:
    """Return what a task has a person do in LaunchDarkly, while it tells that; else nothing."""
    told = getattr(getattr(context.get("ti"), "task", None), "handed_over", None)
    if not isinstance(told, Mapping):
        return ""
    now = f"Who gets what now: {told['now']}." if told.get("now") else ""
    return "\n".join(filter(None, (f"{told['why']}.", now, str(told["follows"]), *told["do"])))


def _without_verdict(context: Mapping[str, Any]) -> str:
    run, ti = context.get("dag_run"), context.get("ti")
    place = f"{_field(run, 'dag_id')}, run {_field(run, 'run_id') or _field(run, 'dag_run_id')}"
    if deadline := context.get("deadline"):
        return f"Deadline missed: {place} was to be finished by {deadline.get('deadline_time')}"
    task = "" if ti is None else f", task {_field(ti, 'task_id')}"
    if error := context.get("exception"):
        return f"{place}{task} failed: {error}"
    state = _field(ti, "state") or _field(run, "state")
    return f"{place}{task} is {getattr(state, 'value', state)}, without a verdict"


def _field(of: Any, name: str) -> Any:
    """Return a field of a callback's context: an object in a task, plain JSON in the triggerer."""
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)
