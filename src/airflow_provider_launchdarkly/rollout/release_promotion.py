"""Releases as data: the same release in one environment after the other. Imports no Airflow.

A rollout with `release` is one. Without `environments` it is a single release, where its connection says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from typing_extensions import override

from airflow_provider_launchdarkly.config.problems import FieldError, Flaw, InvalidSettingError
from airflow_provider_launchdarkly.rollout.entries import ENVIRONMENTS, RELEASE, Entry, Part, read_entries, read_parts
from airflow_provider_launchdarkly.rollout.promotion import flaws_together
from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Self

    from airflow_provider_launchdarkly.rollout.entries import Check, Prepared

_SAME_EVERYWHERE = frozenset({"environment", ENVIRONMENTS, "dag"})
# What the release is about. Its steps, and what guards it, are each environment's own.
_SAME_RELEASE = ("flag", "original", "target")
FIELDS = frozenset({*ReleaseRollout.model_fields, ENVIRONMENTS, "dag"})
"""The fields of a rollout with `release` in a file."""
_EXPERIMENTS = frozenset({*Rollout.model_fields, "targets", "waves"}) - FIELDS
_RELEASES = FIELDS - frozenset({*Rollout.model_fields, ENVIRONMENTS, "dag"})


class ReleaseEnvironment(Entry):
    """One entry of `environments` beside `release`, with any field of such a rollout except `environment` and `dag`.

    Its key alone is short for it. The fields are laid over the rollout's: mappings field by field, lists as a whole.
    With null, the rollout's does not count there.

    Attributes:
        key: The environment's key in LaunchDarkly. Its task group goes by it.
        rule: The flag's rule there: its id or its description. Default: ``release.rule``.
    """

    field: ClassVar[str] = ENVIRONMENTS
    same: ClassVar[frozenset[str]] = _SAME_EVERYWHERE
    may_differ: ClassVar[tuple[str, ...]] = tuple(
        name for name in ReleaseRollout.model_fields if name not in _SAME_EVERYWHERE
    )
    subject: ClassVar[str] = RELEASE

    @override
    def check_own(self) -> None:
        own = self.own.get(RELEASE)
        for name in _SAME_RELEASE:
            if isinstance(own, dict) and name in own:
                raise FieldError(
                    (RELEASE, name), f"is the same in each environment: write it once, beside `{self.field}`"
                )

    @override
    def laid_over(self, rest: Mapping[str, Any]) -> dict[str, Any]:
        """Return the rollout's fields with its own over them, in its environment."""
        return {**super().laid_over(rest), "environment": self.key}


@dataclass(frozen=True, slots=True)
class ReleasePromotion:
    """The same release in several environments, or in one.

    Each begins once the one before has completed. The first that does not complete ends the promotion.

    Attributes:
        releases: The release in each environment, in their order.
        several: True if `environments` names them.
    """

    releases: tuple[ReleaseRollout, ...]
    several: bool = True

    @property
    def environments(self) -> tuple[str | None, ...]:
        """The environments' keys, in their order; None for the connection's."""
        return tuple(each.environment for each in self.releases)

    def by_key(self) -> tuple[tuple[str | None, ReleaseRollout], ...]:
        """Return each release with the key of its environment; None for a release that is the only one."""
        if not self.several:
            return ((None, self.releases[0]),)
        return tuple(zip(self.environments, self.releases, strict=True))

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read releases from plain JSON: a rollout with `release`.

        Raises:
            InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
        """
        flaws: list[Flaw] = []
        found = read_releases(value, flaws)
        if flaws or found is None:
            raise InvalidSettingError.of_flaws("Rollout", flaws)
        return cls(found.releases, found.several)


def read_releases(
    value: Mapping[str, Any], wrong: list[Flaw], *, prepared: Prepared = dict, check: Check = lambda _rollout: ()
) -> ReleasePromotion | None:
    """Return the releases, or None if they cannot be read. The arguments are those of :func:`.read_parts`.

    Args:
        value: The fields, as they were given.
        wrong: What is wrong is added to it.
        prepared: See there.
        check: See there.
    """
    wrong.extend(
        Flaw(
            (name,),
            f"is for experiments, and cannot stand beside `{RELEASE}`: keep one of the two",
            "value_error",
            None,
        )
        for name in value
        if name in _EXPERIMENTS
    )
    rest = {name: given for name, given in value.items() if name not in _EXPERIMENTS}
    try:
        parts = _parts_of(rest)
    except InvalidSettingError as error:
        wrong.extend(error.flaws)
        return None
    releases = read_parts(parts, wrong, model=ReleaseRollout, prepared=prepared, check=check)
    return None if releases is None else ReleasePromotion(tuple(releases), ENVIRONMENTS in value)


def _parts_of(value: Mapping[str, Any]) -> tuple[Part, ...]:
    if ENVIRONMENTS not in value:
        return (Part(dict(value)),)
    found = read_entries(ReleaseEnvironment, value[ENVIRONMENTS])
    if flaws := list(flaws_together(value, found, RELEASE)):
        raise InvalidSettingError.of_flaws("Rollout", flaws)
    rest = {name: given for name, given in value.items() if name != ENVIRONMENTS}
    return tuple(Part(each.laid_over(rest), each, number) for number, each in enumerate(found))


def defaults_for(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return those defaults of a file that a rollout takes: a release none of an experiment's, and the other way.

    Args:
        defaults: The file's.
        own: The rollout's fields, as they were given.
    """
    left_out: Iterable[str] = ()
    if RELEASE in own or (RELEASE in defaults and "experiment" not in own):
        left_out = _EXPERIMENTS
    elif RELEASE in defaults:
        left_out = _RELEASES
    return {name: given for name, given in defaults.items() if name not in left_out}
