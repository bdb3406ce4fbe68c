"""The entries of `environments` and `targets`: each is laid over a rollout's fields and makes a rollout of its own.

Imports no Airflow.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Self, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError, model_validator

from airflow_provider_launchdarkly.config.defaults import lay_over
from airflow_provider_launchdarkly.config.problems import FieldError, Flaw, InvalidSettingError, find_flaws, shown
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.rollout.fields import Key, Text  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.config.strict_yaml import Path

    Prepared = Callable[[dict[str, Any]], dict[str, Any]]
    Check = Callable[[Any], Iterable[tuple[Path, str]]]

Model = TypeVar("Model", bound=StrictModel)

ENVIRONMENTS = "environments"
"""The field that makes a rollout a promotion."""

RELEASE = "release"
"""The field that makes a rollout a release."""

TARGETS = "targets"
WAVES = "waves"
"""The two fields that make a rollout waves."""

WHOLE = frozenset({"policy.looks", "dag.schedule"})
"""A rollout, or an entry, that sets one of these replaces the whole of what is below."""


class Entry(StrictModel):
    """The base of an entry: its key, and any field of a rollout that may differ. Its key alone is short for it.

    Attributes:
        key: Its key. Its task group goes by it.
        rule: The flag's rule: its id or its description. Default: ``experiment.rule``.
    """

    model_config = ConfigDict(extra="allow")
    field: ClassVar[str]
    """The rollout's field that has the entries."""
    may_differ: ClassVar[tuple[str, ...]]
    """The rollout's fields that an entry may set for itself."""
    same: ClassVar[frozenset[str]]
    """The fields that it may not, though a rollout has them."""
    subject: ClassVar[str] = "experiment"
    """The rollout's field that names the flag and its rule."""

    key: Key
    rule: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if not isinstance(value, str | dict):
            raise ValueError("write a key, or a mapping with `key`")  # noqa: TRY004 - pydantic reports it
        return {"key": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check(self) -> Self:
        for name in self.own:
            if name in self.same:
                noun = self.field.removesuffix("s")
                raise FieldError((name,), f"is the same in each {noun}: write it once, beside `{self.field}`")
            if name not in self.may_differ:
                raise FieldError((name,), f"is not known: write key, rule, {', '.join(self.may_differ)}")
        about = self.own.get(self.subject)
        if self.rule is not None and isinstance(about, dict) and about.get("rule") is not None:
            raise FieldError(
                ("rule",),
                f"is {shown(self.rule)}, and `{self.subject}.rule` is {shown(about['rule'])}: write one of the two",
            )
        self.check_own()
        return self

    def check_own(self) -> None:
        """Check the fields that it sets for itself further.

        Raises:
            FieldError: One of them is wrong.
        """

    @property
    def own(self) -> dict[str, Any]:
        """The rollout's fields that it sets for itself, as they were given."""
        return dict(self.model_extra or {})

    @property
    def group_id(self) -> str:
        """The id of its task group: its key, with ``_`` for a dot, which Airflow does not take there."""
        return group_id_of(self.key)

    def laid_over(self, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rollout's fields with its own over them; null takes one away."""
        laid = lay_over(rest, self.own, whole=WHOLE)
        laid = {name: given for name, given in laid.items() if name not in self.own or self.own[name] is not None}
        if self.rule is not None and isinstance(laid.get(self.subject), dict):
            laid[self.subject] = {**laid[self.subject], "rule": self.rule}
        return laid


def group_id_of(key: str) -> str:
    """Return the id of an entry's task group."""
    return key.replace(".", "_")


def gate_id_of(key: str) -> str:
    """Return the id of the task before an environment."""
    return f"promote_to_{group_id_of(key)}"


class Part(NamedTuple):
    """The fields of one entry's rollout, as they were given.

    Attributes:
        value: The fields.
        entry: The entry; None for a rollout that has none.
        number: The entry's number, from 0.
    """

    value: dict[str, Any]
    entry: Entry | None = None
    number: int = 0

    def place(self, path: Path) -> Path:
        """Return where a field was written: in the entry, or beside the entries."""
        if self.entry is None or not path:
            return path
        if path[:2] == (self.entry.subject, "rule") and self.entry.rule is not None:
            return (self.entry.field, self.number, *path[1:])
        return (self.entry.field, self.number, *path) if _is_written(self.entry.own, path) else path


def _is_written(value: Any, path: Path) -> bool:
    """Return whether a mapping, or one in it, has the field of a path, or a plain value or a list on the way."""
    for step in path:
        if not isinstance(value, dict):
            return True
        if step not in value:
            return False
        value = value[step]
    return True


def read_entries(kind: type[Entry], given: Any) -> list[Entry]:
    """Return the entries of a field.

    Raises:
        InvalidSettingError: They are not valid.
    """
    try:
        return TypeAdapter(list[kind]).validate_python(given)  # type: ignore[valid-type]
    except ValidationError as error:
        raise InvalidSettingError.of_flaws("Rollout", find_flaws(error, (kind.field,))) from None


def flaws_of_keys(entries: Sequence[Entry]) -> Iterator[Flaw]:
    """Yield each key that stands twice, or whose task group another one has."""
    groups: dict[str, str] = {}
    for number, each in enumerate(entries):
        first = groups.setdefault(each.group_id, each.key)
        if number and (first != each.key or [other.key for other in entries[:number]].count(each.key)):
            same = f"{each.key} is there twice" if first == each.key else f"{each.key} and {first} are one task group"
            noun = each.field.removesuffix("s")
            yield Flaw((each.field, number, "key"), f"{same}: name each {noun} once", "value_error", each.key)


def read_parts(
    parts: Sequence[Part],
    wrong: list[Flaw],
    *,
    model: type[Model] = Rollout,  # type: ignore[assignment]
    prepared: Prepared = dict,
    check: Callable[[Model], Iterable[tuple[Path, str]]] = lambda _rollout: (),
) -> list[Model] | None:
    """Return the rollout of each part.

    Args:
        parts: The parts.
        wrong: What is wrong is added to it.
        model: The model of each rollout.
        prepared: Returns the fields of a rollout as they are read.
        check: Yields the field and the message of what else is wrong with a rollout; asked only if nothing is so far.

    Returns:
        None if a rollout cannot be read.
    """
    checked = not wrong
    rollouts: list[Model] = []
    found: list[list[Flaw]] = []
    for part in parts:
        flaws: list[Flaw] = []
        try:
            rollout = model.model_validate(prepared(part.value))
        except ValidationError as error:
            flaws += find_flaws(error)
        else:
            rollouts.append(rollout)
            if checked:
                flaws += [Flaw(path, message, "value_error", None) for path, message in check(rollout)]
        found.append(flaws)
    wrong.extend(placed(parts, found))
    return None if len(rollouts) < len(parts) else rollouts


def placed(parts: Iterable[Part], flaws: Iterable[Iterable[Flaw]]) -> list[Flaw]:
    """Return the flaws of each part's rollout at the place where the field was written, each of them once.

    Args:
        parts: The parts.
        flaws: The flaws of each.
    """
    found: dict[tuple[Path, str], tuple[Flaw, list[str]]] = {}
    every = list(parts)
    for part, wrong in zip(every, flaws, strict=True):
        for flaw in wrong:
            own = flaw._replace(path=part.place(flaw.path))
            _, keys = found.setdefault((own.path, own.message), (own, []))
            keys.append(part.entry.key if part.entry else "")
    fields = {part.entry.field for part in every if part.entry}
    return [
        flaw if len(keys) == len(every) or flaw.path[:1] in {(field,) for field in fields} else _in(flaw, keys)
        for flaw, keys in found.values()
    ]


def _in(flaw: Flaw, keys: list[str]) -> Flaw:
    return flaw._replace(message=f"in {', '.join(dict.fromkeys(keys))}: {flaw.message}")
