"""Renders a results query so that the iteration's values are passed as parameters, never in its text.

Each value renders as a marker. Only when the text is complete do the markers become placeholders, in the order in which
they stand in it. Jinja may capture, move and repeat a value as it likes: its parameter moves with it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.evidence.sql_placeholders import check_places
from airflow_provider_launchdarkly.evidence.sql_values import Bound, Value, plain, values_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_launchdarkly.evidence.source import LookContext


class Template(Protocol):
    """A Jinja template, as far as this module uses it."""

    def render(self, *args: Any, **kwargs: Any) -> str:
        """Render it with these variables."""
        ...


class BindingError(ConfigurationError, ValueError):
    """A value of the iteration that cannot be bound where the template puts it. The message names value and cure."""


@dataclass(frozen=True, slots=True)
class Statement:
    """A query for a driver.

    Attributes:
        sql: Its text, with placeholders.
        parameters: The values for them, in order.
    """

    sql: str
    parameters: tuple[Any, ...]


def write_statement(
    template: Template, look_context: LookContext, placeholder: str, context: Mapping[str, Any]
) -> Statement:
    """Render a query for one look.

    The template is rendered twice: with the values pasted, and with markers. With each marker replaced by its value,
    the two must be the same text. So whatever the template did with a marker, it would have done with the value.

    Args:
        template: The query's template.
        look_context: The iteration and the time of the look.
        placeholder: The driver's placeholder for a positional parameter, ``%s`` or ``?``.
        context: The task's context, which the template may use too. The iteration's names win.

    Raises:
        BindingError: A value is changed on its way into the text, or stands where no driver binds it; or the text
            holds a placeholder that is not ours.
    """

    def render(show: Callable[[str, Any], Any]) -> str:
        return str(template.render({**context, **values_of(look_context, show)}))

    markers = _Markers()
    pasted = render(plain)
    marked = _render_marked(lambda: render(markers.show))
    if (difference := _difference(pasted, markers.paste(marked))) is not None:
        if render(plain) != pasted:
            raise BindingError(
                "results: the query renders differently each time, so its values cannot be checked. It "
                "uses a clock, a random number or a counter: take looked_at or the run's id instead"
            )
        raise BindingError(
            f"results: the query changes a value of the iteration before it prints it, or counts or compares its "
            f"text: with the values pasted, it reads {difference!r}, and no bound value can come to that. Print the "
            f"value as it is, and do in SQL what the filter or the condition does"
        )
    places = list(markers.pattern.finditer(marked))
    _require_cohort(look_context, {markers.value(place).name for place in places})
    if problem := check_places(marked, [(place.span(), markers.value(place).name) for place in places], placeholder):
        raise BindingError(f"results: {problem}")
    sql = markers.pattern.sub(lambda _: placeholder, marked)
    return Statement(sql, tuple(markers.value(place).value for place in places))


COHORTS = {"maturity": "exposed_before", "burn_in": "exposed_after"}
"""The settings of a policy that leave units out, and the value by which a query does so."""


def _require_cohort(look_context: LookContext, used: Iterable[str]) -> None:
    """Refuse a query that counts units which the policy leaves out."""
    names = {name.partition(".")[0] for name in used}
    for setting, name in COHORTS.items():
        if getattr(look_context, setting) and name not in names:
            raise BindingError(missing_cohort(setting, name))


def missing_cohort(setting: str, name: str) -> str:
    """Return what is wrong with a query that does not use the value of a setting."""
    sign = "<=" if name == "exposed_before" else ">="
    return (
        f"results: the policy sets {setting}, but the query does not use {name}, so it would count the units that are "
        f"to be left out: add a condition such as AND exposed_at {sign} {{{{ {name} }}}}, or remove {setting}"
    )


def _render_marked(render: Callable[[], str]) -> str:
    """Render with markers. The values rendered before, so a failure comes from their being bound."""
    from jinja2 import TemplateError

    try:
        return render()
    except (TypeError, ValueError, ArithmeticError, LookupError, AttributeError, TemplateError) as error:
        raise BindingError(
            f"results: the query calculates with a value of the iteration, which is bound and can only be printed or "
            f"compared: {error}. Print the value as it is, and calculate in SQL"
        ) from error


def _difference(pasted: str, bound: str) -> str | None:
    """Return the pasted text around the first difference; None where both texts are the same."""
    if pasted == bound:
        return None
    both = zip(pasted, bound, strict=False)
    at = next((at for at, (one, other) in enumerate(both) if one != other), min(len(pasted), len(bound)))
    return pasted[max(at - 30, 0) : at + 30]


class _Markers:
    """Gives each value a marker that no other text contains: it holds a random number of this rendering.

    Large and small letters alternate at both ends, so that each filter that changes the case breaks the marker.
    """

    def __init__(self) -> None:
        self._stem = f"Bd{secrets.token_hex(12)}x"
        self._values: list[Value] = []
        self.pattern = re.compile(rf"{self._stem}(\d+)yZ")

    def show(self, name: str, value: Any) -> Bound:
        """Return what the template gets for a value."""
        self._values.append(Value(name, value))
        return Bound(value, f"{self._stem}{len(self._values) - 1}yZ")

    def value(self, place: re.Match[str]) -> Value:
        """Return the value whose marker was found."""
        return self._values[int(place[1])]

    def paste(self, text: str) -> str:
        """Replace each marker by its value's text."""
        return self.pattern.sub(lambda place: str(plain("", self.value(place).value)), text)
