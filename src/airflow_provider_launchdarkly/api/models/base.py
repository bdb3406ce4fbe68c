"""Base classes that read LaunchDarkly's JSON tolerantly and write it strictly.

Reads keep unknown fields and unknown enum values, and take nulls, missing lists and numbers as strings.
Writes refuse unknown fields, since LaunchDarkly ignores them without an error: https://launchdarkly.com/docs/api
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    JsonValue,
    ValidationError,
)
from pydantic.alias_generators import to_camel
from pydantic_core import core_schema

from airflow_provider_launchdarkly.api.errors import ConfigurationError

T = TypeVar("T")

LONGEST_SHOWN = 80

# `defer_build` leaves the building of validators to the first use: importing the models stays cheap.
_READ = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="allow",
    frozen=True,
    coerce_numbers_to_str=True,
    defer_build=True,
    protected_namespaces=(),
)
_WRITE = ConfigDict(
    alias_generator=to_camel,
    populate_by_name=True,
    extra="forbid",
    frozen=True,
    coerce_numbers_to_str=True,
    defer_build=True,
    protected_namespaces=(),
)


def _empty_if_null(value: Any) -> Any:
    return () if value is None else value


def _no_entries_if_null(value: Any) -> Any:
    return {} if value is None else value


@dataclass(frozen=True, slots=True)
class _NullIs:
    """Reads null as an empty value.

    Written as a schema of pydantic-core and not as a validator function, because a function makes pydantic build Python
    objects of everything below it first: a page of experiments takes three times as long.
    """

    make: Callable[[], Any]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        null = core_schema.no_info_after_validator_function(lambda _null: self.make(), core_schema.none_schema())
        return core_schema.union_schema([handler(source), null], mode="left_to_right")


Text = Annotated[str, _NullIs(str)]
"""A string that LaunchDarkly may send as null; blank then."""

YesNo = Annotated[bool, _NullIs(bool)]
"""A truth value that LaunchDarkly may send as null; False then."""

Many = Annotated[tuple[T, ...], _NullIs(tuple)]
"""A list that LaunchDarkly may send as null or leave out."""

Table = Annotated[dict[str, T], _NullIs(dict)]
"""An object used as a map, which LaunchDarkly may send as null or leave out."""


@dataclass(frozen=True, slots=True)
class _ZeroIsNone:
    """Reads a zero, however it is written, as null; a schema for the reason given above."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        zero = core_schema.union_schema(
            [core_schema.literal_schema(["0", ""]), core_schema.float_schema(ge=0, le=0)], mode="left_to_right"
        )
        none = core_schema.no_info_after_validator_function(_no_value, zero)
        return core_schema.union_schema([none, handler(source)], mode="left_to_right")


@dataclass(frozen=True, slots=True)
class _FiniteOrNone:
    """Reads a number that is not finite as null; a schema for the reason given above."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        infinite = core_schema.no_info_after_validator_function(_no_value, handler(source))
        return core_schema.union_schema(
            [core_schema.float_schema(allow_inf_nan=False), core_schema.none_schema(), infinite], mode="left_to_right"
        )


def _no_value(_value: Any) -> None:
    return None


Instant = Annotated[datetime | None, _ZeroIsNone()]
"""Unix time as an aware UTC datetime: milliseconds as documented, seconds where LaunchDarkly's examples have them.

pydantic distinguishes the two by magnitude. A zero is what LaunchDarkly's server sends for "never".
"""


def iso(instant: datetime | None) -> str | None:
    """Write an instant as ISO 8601 text; None stays None."""
    return instant.isoformat() if instant else None


Number = Annotated[float | None, _FiniteOrNone()]
"""A measured number; None when it is absent, null, NaN or infinite."""


class Read(BaseModel):
    """Base of models that LaunchDarkly sends. Unknown fields are kept in ``model_extra``."""

    model_config = _READ


class NoContent(Read):
    """The empty response to a deletion."""


class Link(Read):
    """A server-relative link of a resource."""

    href: Text = ""
    type: Text = ""


class Page(Read):
    """Fields that every collection of LaunchDarkly has beside its items.

    The count is ``total_count`` for experiments and holdouts and ``totalCount`` elsewhere: one by name, one by alias.
    """

    total_count: int | None = None
    links: Table[Link] = Field(default_factory=dict, alias="_links")

    @property
    def next_href(self) -> str | None:
        """Server-relative path of the next page; None on the last one."""
        link = self.links.get("next")
        return link.href if link and link.href else None


class Write(BaseModel):
    """Base of models that LaunchDarkly takes. A field left None is not sent."""

    model_config = _WRITE

    @classmethod
    def checked(cls, value: Mapping[str, Any]) -> Self:
        """Read a plain mapping, in LaunchDarkly's camelCase or in snake_case.

        Raises:
            ConfigurationError: A field is unknown, missing or wrong; the message names each with its value.
        """
        try:
            return cls.model_validate(value)
        except ValidationError as wrong:
            raise ConfigurationError(_sentence(cls.__name__, wrong)) from None

    def to_wire(self) -> dict[str, JsonValue]:
        """Return plain JSON in LaunchDarkly's spelling, without the fields that were not given."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def _sentence(name: str, wrong: ValidationError) -> str:
    parts = []
    for error in wrong.errors(include_url=False, include_context=False):
        where = ".".join(str(step) for step in error["loc"]) or name
        if error["type"] == "missing":
            parts.append(f"{where}: is required")
        elif error["type"] == "extra_forbidden":
            parts.append(f"{where}: LaunchDarkly has no such field and would ignore it")
        else:
            message = error["msg"].removeprefix("Value error, ")
            given = repr(error["input"])
            # A whole mapping would bury the message, which names the value where it matters.
            short = len(given) <= LONGEST_SHOWN or not isinstance(error["input"], dict | list | tuple)
            parts.append(f"{where}: {message} (given {given[:LONGEST_SHOWN]})" if short else f"{where}: {message}")
    return f"{name} is not valid: " + "; ".join(parts)
