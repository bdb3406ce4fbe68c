"""Renders templates without guessing at types, and then reads each field by its type.

Airflow renders a template to text, and with ``render_template_as_native_obj`` it evaluates that text: the key
``2024_01`` becomes the number 202401, and ``True`` a boolean. Here a template that is a single expression keeps the
expression's value, and every other template is text, whatever the DAG says.
"""

from __future__ import annotations

import inspect
from functools import cache
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.config.lines import write_lines

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from jinja2 import Environment

REQUIRED = inspect.Parameter.empty


class TypedTemplates:
    """Base of operators, sensors and notifiers, before Airflow's own class: renders and reads the template fields."""

    log: Any  # Airflow's own class has it

    def render_template(
        self, content: Any, context: Any, jinja_env: Environment | None = None, seen_oids: set[int] | None = None
    ) -> Any:
        """Render a value: text as a template, collections part by part, other tasks' outputs to their values."""
        parent: Any = super()
        env = jinja_env or parent.get_template_env()
        if isinstance(content, str):
            return render(content, context, env)
        return parent.render_template(content, context, env, seen_oids)

    def say(self, text: str, *arguments: Any) -> None:
        """Write a text to the task's log, in lines that fit.

        Args:
            text: The text, with ``%s`` for each argument.
            arguments: The arguments.
        """
        write_lines(self.log.info, text, *arguments)

    def warn(self, text: str, *arguments: Any) -> None:
        """Write a warning to the task's log, as :meth:`say` does."""
        write_lines(self.log.warning, text, *arguments)

    def read_fields(self) -> None:
        """Read the rendered template fields by their types. Safe to repeat.

        Raises:
            ConfigurationError: A field does not take its value; the message names both, and the cure.
        """
        from airflow_provider_launchdarkly.templates.fields import FIELDS, read_field

        required = required_parameters(type(self))  # type: ignore[arg-type]  # a class is hashable
        fields: Sequence[str] = getattr(self, "template_fields")  # noqa: B009 - each class has its own
        for name in fields:
            value = read_field(name, getattr(self, name))
            if value is None and name in required and name in FIELDS:
                raise ConfigurationError(f"{name} is {getattr(self, name)!r}: give a value; a template may be empty")
            if value is not getattr(self, name):
                setattr(self, name, value)


@cache
def required_parameters(kind: type) -> frozenset[str]:
    """Return the parameters without a default in the constructors of a class and its bases."""
    constructors = [vars(base)["__init__"] for base in kind.__mro__ if "__init__" in vars(base)]
    parameters: dict[str, inspect.Parameter] = {}
    for constructor in constructors:
        for name, parameter in inspect.signature(constructor).parameters.items():
            parameters.setdefault(name, parameter)
    return frozenset(
        name
        for name, parameter in parameters.items()
        if parameter.default is REQUIRED and parameter.kind is parameter.KEYWORD_ONLY
    )


def render(template: str, context: Mapping[str, Any], env: Environment) -> Any:
    """Render a template.

    Args:
        template: The template's text.
        context: The names that it may use.
        env: Airflow's environment, for its filters, its macros and its rule for undefined names.

    Returns:
        The value of a template that is a single expression, else text.
    """
    compiled = _keeping_types(env).from_string(template)
    names = {**compiled.globals, **context}
    inner = compiled.environment
    return _concat(compiled.root_render_func(inner.context_class(inner, names, compiled.name, compiled.blocks)))


def _keeping_types(env: Environment) -> Environment:
    from airflow_provider_launchdarkly.templates.code_generator import ExpressionsAsTheyAre

    typed = env.overlay()
    typed.code_generator_class = ExpressionsAsTheyAre
    typed.concat = _concat  # type: ignore[method-assign]
    return typed


def _concat(nodes: Iterable[Any]) -> Any:
    from jinja2 import Undefined

    parts = list(nodes)
    if len(parts) == 1 and not isinstance(parts[0], Undefined):
        return parts[0]
    return "".join(str(part) for part in parts)
