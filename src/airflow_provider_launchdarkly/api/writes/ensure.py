"""Bringing something into a state that is named whole: look, write if needed, look again. Pure.

For writes that name a target state, so that what makes them safe is the look before and after, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    Difference,
    FieldsNotAppliedError,
    InvalidRequestError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import Pause, Procedure

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_launchdarkly.api.http.request import Request

T = TypeVar("T")

TRIES: Final = 3
"""How often a write is sent at most. Each try after the first follows a read that shows that it did not happen."""

SETTLING: Final = (0.25, 1.0, 2.0)
"""Seconds before each of the reads that follow an unclear write: it may be under way still."""

APPEARING: Final = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Seconds between reads of what was just created: LaunchDarkly may answer 404 for a while."""


def pause_before_retry(number: int) -> Pause:
    """The wait before a write is tried again, longer each time."""
    return Pause(0.5 * 2**number, "LaunchDarkly reported a conflict")


def _nobody_asks(_conflict: ConflictError, _state: Any) -> Procedure[None]:
    yield from ()


@dataclass(frozen=True, slots=True)
class DesiredState(Generic[T]):
    """A state to reach.

    Attributes:
        what: What it is, for errors: "flag checkout is on".
        look: Reads the present state.
        differences: What the present state visibly lacks. Raises for what cannot be.
        write: The call that reaches it from the present state.
        announce: Told the present state just before each write.
        explain: Given a conflict, raises a better error if it finds one.
        unseen: Whether the goal is about something that this state does not show. Then it has to be written to be
            sure, and a write that was accepted is believed.
        answer_is_state: Whether the answer to the write shows as much as a look does.
    """

    what: str
    look: Callable[[], Procedure[T]]
    differences: Callable[[T], tuple[Difference, ...]]
    write: Callable[[T], Request[Any]]
    announce: Callable[[T], None] = lambda _state: None
    explain: Callable[[ConflictError, T], Procedure[None]] = _nobody_asks
    unseen: Callable[[T], bool] = lambda _state: False
    answer_is_state: bool = True


@dataclass(frozen=True, slots=True)
class Ensured(Generic[T]):
    """A goal is reached.

    Attributes:
        value: The state, as last read.
        changed: Whether this call changed something; False when everything was so already.
    """

    value: T
    changed: bool


def ensure(goal: DesiredState[T]) -> Procedure[Ensured[T]]:
    """Reach a goal, writing at most `TRIES` times and never without having looked.

    Args:
        goal: The goal.

    Raises:
        FieldsNotAppliedError: LaunchDarkly accepted the write, and the state is still another.
        LaunchDarklyError: As the calls raise.
    """
    wrote = False
    for number in range(TRIES):
        state = yield from goal.look()
        if not goal.differences(state) and not goal.unseen(state):
            return Ensured(state, changed=wrote)
        goal.announce(state)
        try:
            answer = yield goal.write(state)
        except ConflictError as conflict:
            yield from goal.explain(conflict, state)
            if number == TRIES - 1:
                raise
            yield pause_before_retry(number)
        except UnclearOutcomeError:
            wrote = True
            if number == TRIES - 1:
                raise
            yield Pause(SETTLING[number], f"looking whether {goal.what}")
        except InvalidRequestError:
            # Somebody else may have done it between the look and the write, which then asked for the impossible.
            state = yield from goal.look()
            if goal.differences(state) or goal.unseen(state):
                raise
            return Ensured(state, changed=wrote)
        else:
            if goal.answer_is_state and not goal.differences(answer.value):
                return Ensured(answer.value, changed=True)
            return (yield from _confirmed(goal))
    raise AssertionError("the last try returns or raises")


def _confirmed(goal: DesiredState[T]) -> Procedure[Ensured[T]]:
    """Look after a write that was accepted: LaunchDarkly ignores what it does not know, and reads may lag behind."""
    for seconds in (*SETTLING, None):
        state = yield from goal.look()
        differences = goal.differences(state)
        if not differences:
            return Ensured(state, changed=True)
        if seconds is None:
            break
        yield Pause(seconds, f"it does not show yet that {goal.what}")
    raise FieldsNotAppliedError(
        f"LaunchDarkly accepted the write, and it is not so that {goal.what}: {'; '.join(map(str, differences))}",
        differences=differences,
    )
