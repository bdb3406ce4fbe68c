"""A rollout for many targets, in waves, as data: projects, markets or tenants. Imports no Airflow.

A rollout with `targets` and `waves` is one. Each target is laid over the other fields, and the result is a rollout of
its own. Shares are rounded down, as CloudFormation StackSets rounds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NamedTuple, Self

from pydantic import Field, PlainValidator, ValidationError, model_validator
from typing_extensions import override

from airflow_provider_launchdarkly.config.problems import FieldError, Flaw, InvalidSettingError, find_flaws
from airflow_provider_launchdarkly.config.strict_model import StrictModel
from airflow_provider_launchdarkly.decision.policy_parts import Duration, Flag  # noqa: TC001 - pydantic reads it
from airflow_provider_launchdarkly.rollout.entries import (
    ENVIRONMENTS,
    TARGETS,
    WAVES,
    Entry,
    Part,
    flaws_of_keys,
    read_entries,
    read_parts,
)
from airflow_provider_launchdarkly.rollout.fields import Key, Text  # noqa: TC001 - pydantic reads annotations
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.config.strict_yaml import Path
    from airflow_provider_launchdarkly.rollout.entries import Check, Prepared

FIELD = TARGETS
SETTINGS = WAVES
MOST_TARGETS = 100
"""The most targets of one DAG. Each has the tasks of a rollout, and Airflow reads a DAG as a whole."""
REST = "rest"

_PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,3})?) ?%")
_OF_ALL = frozenset({FIELD, SETTINGS, ENVIRONMENTS, "dag"})
# The tasks beside a target's task group are named after it.
_TAKEN = ("begin_", "count_")


def _share(value: str) -> Fraction | None:
    found = _PERCENT.fullmatch(value)
    return Fraction(found[1]) / 100 if found else None


def _size(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    if isinstance(value, str) and (value == REST or 0 < (_share(value) or 0) <= 1):
        return value
    raise ValueError(f"write a number from 1, a share such as 10%, or {REST}")


def _tolerance(value: Any) -> int | str:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    if isinstance(value, str) and (share := _share(value)) is not None and share < 1:
        return value
    raise ValueError("write a number from 0, or a share below 100%, such as 10%")


_SHARE_SCHEMA = {"type": "string", "pattern": r"^\d{1,3}(\.\d{1,3})? ?%$"}
_SIZE_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 1}, _SHARE_SCHEMA, {"const": REST}]}
_TOLERANCE_SCHEMA = {"anyOf": [{"type": "integer", "minimum": 0}, _SHARE_SCHEMA]}
Size = Annotated[int | str, PlainValidator(_size, json_schema_input_type=Any), Field(json_schema_extra=_SIZE_SCHEMA)]
Tolerance = Annotated[
    int | str, PlainValidator(_tolerance, json_schema_input_type=Any), Field(json_schema_extra=_TOLERANCE_SCHEMA)
]


class Target(Entry):
    """One entry of `targets`: its key, and any field of a rollout in which it differs, except `dag`.

    A target is a project, an environment, a market, a tenant: whatever has a rule of a flag to itself. Its key alone is
    short for it. The fields are laid over the rollout's: mappings field by field, lists as a whole. With null, the
    rollout's does not count there. Its experiment goes by ``<the rollout's key>-<its key>``, unless its `experiment`
    sets a `key`.

    Attributes:
        key: The target's name. Its task group goes by it.
        rule: The flag's rule for it: its id or its description. Default: ``experiment.rule``.
    """

    field: ClassVar[str] = FIELD
    same: ClassVar[frozenset[str]] = _OF_ALL
    may_differ: ClassVar[tuple[str, ...]] = tuple(name for name in Rollout.model_fields if name not in _OF_ALL)

    @model_validator(mode="after")
    def _check_name(self) -> Self:
        if self.key.startswith(_TAKEN):
            raise FieldError(("key",), f"begins with {' or '.join(_TAKEN)}, as tasks of other targets do: rename it")
        return self

    @override
    def laid_over(self, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rollout's fields with its own over them, and with an experiment of its own."""
        laid = super().laid_over(rest)
        experiment, own = laid.get("experiment"), self.own.get("experiment")
        if not isinstance(experiment, dict):
            return laid
        named = dict(experiment)
        for name, joined in (("key", "{}-{}"), ("name", "{} ({})")):
            is_own = isinstance(own, dict) and name in own
            if not is_own and isinstance(experiment.get(name), str) and experiment[name]:
                named[name] = joined.format(experiment[name], self.key)
        return {**laid, "experiment": named}


class Wave(StrictModel):
    """One wave. Its size alone, or its list of targets, is short for it.

    Attributes:
        size: The number of targets, a share of all of them, or ``rest``. They are taken in the order of `targets`.
        targets: The keys of its targets; this or `size`.
        pause: The time from the end of the wave before to the start of this one, by LaunchDarkly's clock.
        approval: True to ask a person before it starts, after the pause. `approval` of the rollout says whom, and for
            how long. Nobody's answer is a refusal.
        notes: Notes for the person who is asked.
    """

    size: Size | None = None
    targets: tuple[Key, ...] = ()
    pause: Duration | None = None
    approval: Flag = False
    notes: Text | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return {"targets": value}
        return value if isinstance(value, dict | Wave) else {"size": value}

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.size is None) == (not self.targets):
            raise ValueError("write either `size` or `targets`")
        if self.pause is not None and self.pause.total_seconds() <= 0:
            raise FieldError(("pause",), "is not above 0")
        return self


class WaveSettings(StrictModel):
    """The field `waves`: how the targets follow one another, and when nothing further starts.

    Attributes:
        order: The waves, in their order. Each starts once all targets of the one before have ended.
        max_under_way: The most targets that are under way at once.
        max_failed: The number, or the share of all targets, that may fail. Once more have failed, nothing further
            starts; what is under way ends as its own rules say.
        inconclusive_fails: True to count a target that ends ``inconclusive`` as failed.
    """

    order: Annotated[tuple[Wave, ...], Field(min_length=1)]
    max_under_way: Annotated[int, Field(ge=1, strict=True)] = 1
    max_failed: Tolerance = 0
    inconclusive_fails: Flag = False

    @model_validator(mode="after")
    def _check(self) -> Self:
        first = self.order[0]
        for name in ("pause", "approval"):
            if getattr(first, name):
                instead = "; to be asked before each target, write stages: [{approval: true, ...}]"
                message = f"stands before the first wave, which starts with the run{instead if name != 'pause' else ''}"
                raise FieldError(("order", 0, name), message)
        return self

    def tolerated(self, targets: int) -> int:
        """Return how many of so many targets may fail."""
        return _number(self.max_failed, targets)


def _number(value: int | str, of: int) -> int:
    """Return a number, or a share of a number, rounded down."""
    return int((_share(value) or 0) * of) if isinstance(value, str) else value


@dataclass(frozen=True, slots=True)
class Waves:
    """The same rollout for many targets, in waves.

    Attributes:
        targets: The targets' keys, in their order.
        rollouts: The rollout of each target, in the same order.
        waves: The keys of each wave's targets, in their order.
        settings: The waves as they were written, the limit and the tolerance.
    """

    targets: tuple[str, ...]
    rollouts: tuple[Rollout, ...]
    waves: tuple[tuple[str, ...], ...]
    settings: WaveSettings

    @property
    def tolerated(self) -> int:
        """The number of targets that may fail before nothing further starts."""
        return self.settings.tolerated(len(self.targets))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Waves:
        """Read the waves from plain JSON: a rollout with `targets` and `waves`.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        flaws: list[Flaw] = []
        found = read_waves(value, flaws)
        if flaws or found is None:
            raise InvalidSettingError.of_flaws("Rollout", flaws)
        return found


def read_waves(
    value: Mapping[str, Any], wrong: list[Flaw], *, prepared: Prepared = dict, check: Check = lambda _rollout: ()
) -> Waves | None:
    """Return the waves, or None if they cannot be read. The arguments are those of :func:`.read_parts`.

    Args:
        value: The fields, as they were given.
        wrong: What is wrong is added to it.
        prepared: See there.
        check: See there.
    """
    missing = [(each, other) for each, other in ((FIELD, SETTINGS), (SETTINGS, FIELD)) if each not in value]
    if missing:
        cures = {FIELD: "name the targets, such as [berlin, paris]", SETTINGS: "write order: [1, 10%, rest]"}
        wrong += [_flaw((each,), f"is missing beside `{other}`: {cures[each]}", None) for each, other in missing]
        return None
    try:
        entries = read_entries(Target, value[FIELD])
    except InvalidSettingError as error:
        wrong.extend(error.flaws)
        return None
    settings = None
    try:
        settings = WaveSettings.model_validate(value[SETTINGS])
    except ValidationError as error:
        wrong.extend(find_flaws(error, (SETTINGS,)))
    if flaws := list(_flaws_together(value, entries)):
        wrong.extend(flaws)
        return None
    keys = tuple(each.key for each in entries)
    waves: list[tuple[str, ...]] = []
    if settings is not None:
        wrong.extend(_divide(settings, keys, waves))
    rest = {name: given for name, given in value.items() if name not in {FIELD, SETTINGS}}
    parts = [Part(each.laid_over(rest), each, number) for number, each in enumerate(entries)]
    rollouts = read_parts(parts, wrong, prepared=prepared, check=check)
    if rollouts is None or settings is None:
        return None
    by_key = dict(zip(keys, rollouts, strict=True))
    wrong.extend(shared(by_key, {key: Place.as_written(rollout) for key, rollout in by_key.items()}))
    return Waves(keys, tuple(rollouts), tuple(waves), settings)


def _flaw(path: Path, message: str, given: Any) -> Flaw:
    return Flaw(path, message, "value_error", given)


def _flaws_together(value: Mapping[str, Any], entries: Sequence[Entry]) -> Iterator[Flaw]:
    """Yield what is wrong with the targets together."""
    if "environments" in value:
        message = f"cannot stand beside `{FIELD}`: write `environment` in each target, or one rollout after the other"
        yield _flaw(("environments",), message, value["environments"])
    if not 1 <= len(entries) <= MOST_TARGETS:
        message = f"has {len(entries)} entries, not 1 to {MOST_TARGETS}: divide them among several rollouts"
        yield _flaw((FIELD,), message, len(entries))
    yield from flaws_of_keys(entries)


def _divide(settings: WaveSettings, keys: Sequence[str], waves: list[tuple[str, ...]]) -> Iterator[Flaw]:
    """Divide the targets into waves; yield what is wrong."""
    named: dict[str, int] = {}
    for number, wave in enumerate(settings.order):
        for place, key in enumerate(wave.targets):
            where: Path = (SETTINGS, "order", number, "targets", place)
            if key not in keys:
                yield _flaw(where, f"{key!r} is not among `{FIELD}`: write one of {_some(keys)}", key)
            elif key in named:
                yield _flaw(where, f"{key} is in wave {named[key] + 1} already: name each target once", key)
            named.setdefault(key, number)
    free = [key for key in keys if key not in named]
    for number, wave in enumerate(settings.order):
        if wave.targets:
            waves.append(wave.targets)
            continue
        given = wave.size or 0
        size = len(free) if given == REST else _number(given, len(keys))
        if isinstance(given, str):
            size = min(max(size, 1), len(free))
        where = (SETTINGS, "order", number, "size")
        if not free:
            yield _flaw(where, "finds no target left: leave the wave out", given)
        elif size > len(free):
            yield _flaw(where, f"is {size}, and only {len(free)} targets are left", given)
        waves.append(tuple(free[:size]))
        free = free[size:]
    if free:
        yield _flaw((SETTINGS, "order"), f"leaves out {_some(free)}: end with `{REST}`", len(free))
    tolerated = settings.tolerated(len(keys))
    if tolerated >= len(keys):
        message = f"is {tolerated}, and there are {len(keys)} targets, so nothing would ever stop: write fewer"
        yield _flaw((SETTINGS, "max_failed"), message, settings.max_failed)


class Place(NamedTuple):
    """Where a target runs, as far as that is known.

    Attributes:
        account: What tells LaunchDarkly's accounts apart.
        project: Key of the project; None for the connection's.
        environment: Key of the environment; None for the connection's.
        rule: The flag's rule.
    """

    account: Hashable
    project: str | None
    environment: str | None
    rule: str

    @classmethod
    def as_written(cls, rollout: Rollout) -> Self:
        """Return the place as the rollout says it, without what only its connection knows."""
        return cls(rollout.connection, rollout.project, rollout.environment, rollout.experiment.rule)

    @override
    def __str__(self) -> str:
        known = [part for part in (self.project, self.environment) if part is not None]
        return f" in {'/'.join(known)}" if known else ""


def shared(rollouts: Mapping[str, Rollout], places: Mapping[str, Place]) -> Iterator[Flaw]:
    """Yield each target that shares its experiment, or its flag's rule, with one before it, or would retire its flag.

    Args:
        rollouts: The rollout of each target, by its key, in their order.
        places: The place of each target that is compared.
    """
    seen: dict[tuple[Any, ...], str] = {}
    for number, (key, rollout) in enumerate(rollouts.items()):
        if key not in places:
            continue
        place, experiment = places[key], rollout.experiment
        first = seen.setdefault(("experiment", *place[:3], experiment.key), key)
        if first != key:
            message = f"{key} and {first} have the same experiment, {experiment.key}{place}: give each its own `key`"
            yield _flaw((FIELD, number, "experiment", "key"), message, experiment.key)
        first = seen.setdefault(("rule", *place, experiment.flag), key)
        if first != key:
            message = (
                f"{key} and {first} have the same rule, {experiment.rule} of flag {experiment.flag}{place}: write the "
                "`project`, `environment` or `rule` in which they differ"
            )
            yield _flaw((FIELD, number), message, key)
    yield from _retired_for_others(rollouts, places)


def _retired_for_others(rollouts: Mapping[str, Rollout], places: Mapping[str, Place]) -> Iterator[Flaw]:
    """Yield the first target that would retire a flag on which another target runs."""
    flags = {key: (place.account, place.project, rollouts[key].experiment.flag) for key, place in places.items()}
    for number, (key, rollout) in enumerate(rollouts.items()):
        others = [other for other, flag in flags.items() if flag == flags.get(key) and other != key]
        if rollout.retire is not None and others:
            message = (
                f"is for {key}, and flag {rollout.experiment.flag} is that of {_some(others)} as well: leave it out, "
                "and retire the flag after all waves (LaunchDarklyRetireFlagOperator)"
            )
            yield _flaw((FIELD, number, "endings", "retire"), message, None)
            return


def _some(keys: Sequence[str]) -> str:
    return ", ".join(keys[:5]) + (f" and {len(keys) - 5} more" if len(keys) > 5 else "")
