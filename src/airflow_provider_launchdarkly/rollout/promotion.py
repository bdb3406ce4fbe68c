"""A promotion as data: the same experiment in several environments, one after the other. Imports no Airflow.

A rollout with `environments` is one. Each entry is laid over the other fields, and the result is a rollout of its own.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.config.problems import Flaw, InvalidSettingError
from airflow_provider_launchdarkly.rollout.entries import (
    ENVIRONMENTS,
    Entry,
    Part,
    flaws_of_keys,
    gate_id_of,
    read_entries,
    read_parts,
)
from airflow_provider_launchdarkly.rollout.options import Autonomy
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.config.strict_yaml import Path
    from airflow_provider_launchdarkly.rollout.entries import Check, Prepared

FIELD = ENVIRONMENTS
RETIRE: Path = ("endings", "retire")
# The ids of LaunchDarkly's rules. Each environment has rules of its own.
_RULE_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_SAME_EVERYWHERE = frozenset({"experiment", "environment", FIELD, "dag"})
MAY_DIFFER = tuple(name for name in Rollout.model_fields if name not in _SAME_EVERYWHERE)
"""The fields of a rollout that an environment may set for itself."""


class Environment(Entry):
    """One entry of `environments`, with any field of a rollout except `experiment`, `environment` and `dag`.

    Its key alone is short for it. The fields are laid over the rollout's: mappings field by field, lists as a whole.
    With null, the rollout's does not count there.

    Attributes:
        key: The environment's key in LaunchDarkly. Its task group goes by it.
        rule: The flag's rule there: its id or its description. Default: ``experiment.rule``.
    """

    field: ClassVar[str] = FIELD
    same: ClassVar[frozenset[str]] = _SAME_EVERYWHERE
    may_differ: ClassVar[tuple[str, ...]] = MAY_DIFFER

    @override
    def laid_over(self, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rollout's fields with its own over them, in its environment."""
        return {**super().laid_over(rest), "environment": self.key}


def parts_of(value: Mapping[str, Any]) -> tuple[Part, ...]:
    """Return the rollout's fields in each environment; one part for a rollout without `environments`.

    Args:
        value: The rollout's fields, as they were given.

    Raises:
        InvalidSettingError: The environments are not valid.
    """
    if FIELD not in value:
        return (Part(dict(value)),)
    found = read_entries(Environment, value[FIELD])
    if flaws := list(flaws_together(value, found)):
        raise InvalidSettingError.of_flaws("Rollout", flaws)
    rest = {name: given for name, given in value.items() if name != FIELD}
    return tuple(Part(each.laid_over(rest), each, number) for number, each in enumerate(found))


def flaws_together(value: Mapping[str, Any], found: list[Entry], subject: str = "experiment") -> Iterator[Flaw]:
    """Yield what is wrong with the environments together.

    Args:
        value: The rollout's fields, as they were given.
        found: The environments.
        subject: The field that names the flag and its rule.
    """

    def flaw(path: Path, message: str, given: Any) -> Flaw:
        return Flaw(path, message, "value_error", given)

    if not found:
        yield flaw((FIELD,), "is empty: name at least one environment, or leave the field out", [])
    if value.get("environment") is not None:
        yield flaw(("environment",), f"cannot stand beside `{FIELD}`: keep one of the two", value["environment"])
    yield from flaws_of_keys(found)
    gates = {gate_id_of(each.key): each.key for each in found[1:]}
    for number, each in enumerate(found):
        if each.group_id in gates:
            yield flaw(
                (FIELD, number, "key"),
                f"{each.key} is the task before {gates[each.group_id]}, and an environment's tasks go by its key: put "
                "one of the two in a rollout of its own",
                each.key,
            )
    about = value.get(subject)
    rule = about.get("rule") if isinstance(about, dict) else None
    without = [each.key for each in found if each.rule is None]
    if isinstance(rule, str) and _RULE_ID.fullmatch(rule) and without and len(found) > 1:
        yield flaw(
            (subject, "rule"),
            f"{rule!r} is the id of a rule in one environment, and {', '.join(without)} would use it too: name the "
            f"rule by its description, or write `rule` in each entry of `{FIELD}`",
            rule,
        )


@dataclass(frozen=True, slots=True)
class Promotion:
    """The same experiment in several environments, each with gates, change window, approval and connection of its own.

    Each begins once the winner of the one before is shipped. The first that does not ship ends the promotion. Only the
    last one retires the flag.

    Attributes:
        rollouts: The rollout of each environment, in their order.
    """

    rollouts: tuple[Rollout, ...]

    @property
    def environments(self) -> tuple[str, ...]:
        """The environments' keys, in their order."""
        return tuple(str(rollout.environment) for rollout in self.rollouts)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Promotion:
        """Read a promotion from plain JSON: a rollout with `environments`.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        if FIELD not in value:
            raise InvalidSettingError(f"{FIELD} is missing: name the environments, such as [test, production]")
        flaws: list[Flaw] = []
        found = read_promotion(value, flaws)
        if flaws or found is None:
            raise InvalidSettingError.of_flaws("Rollout", flaws)
        return found


def read_promotion(
    value: Mapping[str, Any], wrong: list[Flaw], *, prepared: Prepared = dict, check: Check = lambda _rollout: ()
) -> Promotion | None:
    """Return the promotion, or None if it cannot be read. The arguments are those of :func:`.read_parts`.

    Args:
        value: The fields, as they were given.
        wrong: What is wrong is added to it.
        prepared: See there.
        check: See there.
    """
    try:
        parts = parts_of(value)
    except InvalidSettingError as error:
        wrong.extend(error.flaws)
        return None
    rollouts = read_parts(parts, wrong, prepared=prepared, check=check)
    if rollouts is None:
        return None
    wrong.extend(unpromotable(rollouts))
    wrong.extend(_retired_early(parts))
    *before, last = rollouts
    return Promotion((*map(_without_retirement, before), last))


def _retired_early(parts: Iterable[Part]) -> list[Flaw]:
    """Return a flaw for each environment but the last that retires the flag itself."""
    *before, _ = parts
    return [
        Flaw(
            (FIELD, part.number, *RETIRE),
            "stands before the last environment, and archiving is for all of them: write it in the last one, or "
            f"beside `{FIELD}`",
            "value_error",
            None,
        )
        for part in before
        if part.place(RETIRE) != RETIRE and _retires(part.value.get("endings"))
    ]


def _retires(endings: Any) -> bool:
    return isinstance(endings, dict) and endings.get("retire") is not None


def _without_retirement(rollout: Rollout) -> Rollout:
    """Return a rollout whose flag stays: the last environment retires it."""
    if rollout.retire is None:
        return rollout
    return rollout.model_copy(update={"endings": rollout.endings.model_copy(update={"retire": None})})


def unpromotable(rollouts: Iterable[Rollout]) -> list[Flaw]:
    """Return what is wrong with the rollouts one after the other.

    Args:
        rollouts: The rollout of each environment, in their order.
    """
    each = list(rollouts)
    observed = [rollout.autonomy is Autonomy.OBSERVE for rollout in each]
    if all(observed):
        return []
    return [
        Flaw(
            (FIELD, number, "autonomy"),
            f"observe never ships, so {each[number + 1].environment} would never begin: write act or recommend, or "
            "observe in all environments",
            "value_error",
            Autonomy.OBSERVE.value,
        )
        for number in range(len(each) - 1)
        if observed[number]
    ]
