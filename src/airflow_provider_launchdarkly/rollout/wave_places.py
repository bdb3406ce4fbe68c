"""What targets share in LaunchDarkly, once their connections say what a file leaves out. Imports no Airflow.

A file is compared as it is written. A project or an environment that it leaves out is the connection's, two connections
may lead to one account, and a rule may be named by its id and by its description. `plan` and a run know better, and
compare again.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from airflow_provider_launchdarkly.api.errors import ConfigurationError, LaunchDarklyError
from airflow_provider_launchdarkly.rollout.waves import Place, shared

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.http.settings import ClientSettings
    from airflow_provider_launchdarkly.config.problems import Flaw
    from airflow_provider_launchdarkly.rollout.spec import Rollout

T = TypeVar("T")


class Spot(NamedTuple):
    """Where a rollout runs, by its connection.

    Attributes:
        client: The connection's access to LaunchDarkly.
        env: The project and environment.
    """

    client: ClientSettings
    env: EnvironmentRef

    @property
    def access(self) -> tuple[str, str]:
        """What one account has in common: the address and the token. An account may have several tokens."""
        return self.client.base_url, self.client.token


class Reach(Protocol):
    """LaunchDarkly behind the connections of rollouts."""

    def spot(self, rollout: Rollout) -> Spot:
        """Return where a rollout runs.

        Raises:
            ConfigurationError: Neither the rollout nor its connection says it, or there is no such connection.
        """

    def run(self, rollout: Rollout, work: Procedure[T]) -> T:
        """Run a procedure of ``api`` on a rollout's connection."""


def shared_now(rollouts: Mapping[str, Rollout], reach: Reach, required: Collection[str] = ()) -> tuple[Flaw, ...]:
    """Return what targets share by their connections as they are now. Only reads.

    LaunchDarkly is asked only where it has to be: for its account if two tokens may belong to one, and for a flag's
    rules if two targets name them differently.

    Args:
        rollouts: The rollout of each target, by its key, in their order.
        reach: LaunchDarkly behind their connections.
        required: Targets whose place has to be known. Another one whose place is not known is left out.

    Raises:
        ConfigurationError: The place of a required target is not known.
        LaunchDarklyError: A call failed, and may succeed later.
    """
    spots = _known(rollouts, required, lambda key: reach.spot(rollouts[key]))
    owners = _known(spots, required, _Accounts(rollouts, spots, reach).of)
    flags = {key: (owner, spots[key].env, rollouts[key].experiment.flag) for key, owner in owners.items()}
    named: dict[object, set[str]] = {}
    for key, flag in flags.items():
        named.setdefault(flag, set()).add(rollouts[key].experiment.rule)

    def rule(key: str) -> str:
        if len(named[flags[key]]) == 1:
            return rollouts[key].experiment.rule
        return reach.run(rollouts[key], _rule_id(spots[key].env, rollouts[key]))

    places = {key: Place(owners[key], *spots[key].env, found) for key, found in _known(owners, required, rule).items()}
    return tuple(shared(rollouts, places))


class _Accounts:
    """Tells accounts apart: by address and token, and by LaunchDarkly's id where two tokens may belong to one."""

    def __init__(self, rollouts: Mapping[str, Rollout], spots: Mapping[str, Spot], reach: Reach) -> None:
        self._rollouts, self._spots, self._reach = rollouts, spots, reach
        self._found: dict[tuple[str, str], tuple[str, str | None]] = {}
        self._asked = {
            spot.access
            for pair in combinations(spots, 2)
            if self._may_meet(*pair) and spots[pair[0]].access != spots[pair[1]].access
            for spot in (spots[pair[0]], spots[pair[1]])
        }

    def of(self, key: str) -> tuple[str, str | None]:
        """Return what tells the account of a target apart from others."""
        access = self._spots[key].access
        if access not in self._asked:
            return access
        if access not in self._found:
            self._found[access] = (access[0], self._reach.run(self._rollouts[key], _account_id()))
        return self._found[access]

    def _may_meet(self, one: str, other: str) -> bool:
        first, second = self._spots[one], self._spots[other]
        if (first.client.base_url, first.env.project_key) != (second.client.base_url, second.env.project_key):
            return False
        mine, theirs = self._rollouts[one].experiment, self._rollouts[other].experiment
        return mine.flag == theirs.flag or (first.env == second.env and mine.key == theirs.key)


def _known(keys: Iterable[str], required: Collection[str], find: Callable[[str], T]) -> dict[str, T]:
    """Return what is found for each key; one for which nothing can be found is left out unless it is required."""
    found: dict[str, T] = {}
    for key in keys:
        try:
            found[key] = find(key)
        except LaunchDarklyError as error:
            if error.retryable:
                raise
            if key in required:
                raise ConfigurationError(f"target {key}: {error}") from error
    return found


def _account_id() -> Procedure[str | None]:
    # Imported here, as everything that only a running task needs.
    from airflow_provider_launchdarkly.api.endpoints import get_caller_identity

    account: str | None = (yield get_caller_identity()).value.account_id
    return account


def _rule_id(env: EnvironmentRef, rollout: Rollout) -> Procedure[str]:
    from airflow_provider_launchdarkly.api.reads.flags import read_flag
    from airflow_provider_launchdarkly.api.variations import find_rule_id

    return find_rule_id((yield from read_flag(env, rollout.experiment.flag)), rollout.experiment.rule)


def told(flaws: Sequence[Flaw]) -> str:
    """Return what targets share as one sentence for each, with its field."""
    from airflow_provider_launchdarkly.config.problems import field_name

    return "; ".join(f"{field_name(flaw.path)}: {flaw.message}" for flaw in flaws)
