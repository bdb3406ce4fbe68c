"""Tell if a rollout file's entry, or a mapping in a DAG, is a rollout, a promotion, waves, or releases. No Airflow.

The modules of all but rollouts are imported where there is one: most are rollouts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

from airflow_provider_launchdarkly.config.problems import Flaw, InvalidSettingError
from airflow_provider_launchdarkly.rollout.entries import ENVIRONMENTS, RELEASE, TARGETS, WAVES, Part, read_parts
from airflow_provider_launchdarkly.rollout.spec import Rollout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from airflow_provider_launchdarkly.rollout.entries import Check, Prepared
    from airflow_provider_launchdarkly.rollout.promotion import Promotion
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
    from airflow_provider_launchdarkly.rollout.release_spec import ReleaseRollout
    from airflow_provider_launchdarkly.rollout.waves import Waves

    Content = Rollout | Promotion | Waves | ReleasePromotion


def read_content(
    value: Mapping[str, Any], wrong: list[Flaw], *, prepared: Prepared = dict, check: Check = lambda _rollout: ()
) -> Content | None:
    """Return the releases if there is a `release`, the waves if there are `targets`, else the promotion or rollout.

    Args:
        value: The fields, as they were given.
        wrong: What is wrong is added to it.
        prepared: Returns the fields of one rollout as they are read.
        check: Yields the field and the message of what else is wrong with a rollout; asked only if nothing is so far.

    Returns:
        None if a rollout cannot be read.
    """
    if RELEASE in value:
        from airflow_provider_launchdarkly.rollout.release_promotion import read_releases

        return read_releases(value, wrong, prepared=prepared, check=check)
    if TARGETS in value or WAVES in value:
        from airflow_provider_launchdarkly.rollout.waves import read_waves

        return read_waves(value, wrong, prepared=prepared, check=check)
    if ENVIRONMENTS in value:
        from airflow_provider_launchdarkly.rollout.promotion import read_promotion

        return read_promotion(value, wrong, prepared=prepared, check=check)
    found = read_parts((Part(dict(value)),), wrong, prepared=prepared, check=check)
    return found[0] if found else None


def read_rollout(value: Mapping[str, Any]) -> Content:
    """Read a rollout from plain JSON: a promotion if it has `environments`, waves if `targets`, or releases.

    Raises:
        InvalidSettingError: Which is a ValueError; it names each wrong field and its value.
    """
    flaws: list[Flaw] = []
    found = read_content(value, flaws)
    if flaws or found is None:
        raise InvalidSettingError.of_flaws("Rollout", flaws)
    return found


def rollouts_by_key(content: Content) -> tuple[tuple[str | None, Rollout], ...]:
    """Return each experiment's rollout with the key of its environment or target; None for one that is the only one."""
    if isinstance(content, Rollout):
        return ((None, content),)
    from airflow_provider_launchdarkly.rollout.promotion import Promotion
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion
    from airflow_provider_launchdarkly.rollout.waves import Waves

    match content:
        case Promotion():
            return tuple(zip(content.environments, content.rollouts, strict=True))
        case Waves():
            return tuple(zip(content.targets, content.rollouts, strict=True))
        case ReleasePromotion():
            return ()
        case unknown:
            assert_never(unknown)


def releases_by_key(content: Content) -> tuple[tuple[str | None, ReleaseRollout], ...]:
    """Return each release with the key of its environment; None for one that is the only one. Others have none."""
    if isinstance(content, Rollout):
        return ()
    from airflow_provider_launchdarkly.rollout.release_promotion import ReleasePromotion

    return tuple(content.by_key()) if isinstance(content, ReleasePromotion) else ()


def rollouts_of(content: Content) -> tuple[Rollout, ...]:
    """Return the rollout of each environment or target; a rollout without them is the only one; none of releases."""
    return tuple(rollout for _, rollout in rollouts_by_key(content))


def told_once(content: Content, tell: Callable[[Rollout], Iterable[str]]) -> tuple[str, ...]:
    """Return the sentences about each rollout; one that does not hold for all says for which it does.

    Args:
        content: The rollout, the promotion, or the waves.
        tell: Returns the sentences about a rollout.
    """
    rollouts = rollouts_by_key(content)
    found: dict[str, list[str]] = {}
    for key, rollout in rollouts:
        for sentence in dict.fromkeys(tell(rollout)):
            found.setdefault(sentence, []).append(str(key))
    return tuple(
        sentence if len(keys) == len(rollouts) else f"in {', '.join(keys)}: {sentence}"
        for sentence, keys in found.items()
    )
