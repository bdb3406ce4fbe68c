"""Idempotent *ensure*: read, write only if needed, confirm by reading. Every safe write is one declaration of it.

LaunchDarkly has no idempotency key, so a write is sent again only after a read has shown that it did not happen.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from airflow_provider_launchdarkly.api.errors import (
    ConflictError,
    Difference,
    FieldsNotAppliedError,
    InvalidRequestError,
    LaunchDarklyError,
    UnclearOutcomeError,
)
from airflow_provider_launchdarkly.api.http.procedure import SETTLING, STRANGE_DATA, Procedure, Sleep, read_until
from airflow_provider_launchdarkly.api.http.request import Request

if TYPE_CHECKING:
    from collections.abc import Callable

S = TypeVar("S")
R = TypeVar("R")
T = TypeVar("T")

TRIES: Final = 3
"""The largest number of tries of a write. Each further try follows a read that shows no effect of the one before."""

LASTING: Final = 1.0
"""Seconds after which a write that somebody else's may undo is read once more: both have ended by then."""


@dataclass(frozen=True, slots=True)
class Written(Generic[S]):
    """A write that LaunchDarkly accepted.

    Attributes:
        before: The state that the write started from.
        response: The body of LaunchDarkly's response.
    """

    before: S
    response: Any


@dataclass(frozen=True, slots=True)
class Ensured(Generic[R]):
    """A desired state that is reached.

    Attributes:
        value: What was asked for, as last read.
        changed: Whether this call changed something; False if no write was needed.
    """

    value: R
    changed: bool


def _no_better_error(_error: LaunchDarklyError, _state: Any) -> Procedure[None]:
    yield from ()


@dataclass(frozen=True, slots=True)
class DesiredState(Generic[S, R]):
    """A state to reach, and the one write that reaches it.

    Attributes:
        what: The desired state in words, for logs and errors: "flag checkout is on".
        read: Reads the present state.
        reached: Picks the result out of a state; None if a write is needed. Raises if the desired state cannot be
            reached from this one.
        write: The call that reaches it from the present state, or a procedure that prepares and returns that call.
        confirmed: Picks the result out of a state that was read after an accepted write; None if it does not show yet.
            Raises if something else shows.
        unconfirmed: The error for an accepted write that does not show in the last state read.
        explain: Raises a better error than a conflict or a refusal, if it finds one that another try cannot cure. For
            a conflict it may return one to raise after the last try. Gets the state last read.
        may_pass: Whether a refusal may be cured by preparing the write afresh.
        response_is_state: Whether the response to the write shows as much as a read does.
        settling: Seconds before each further read after an accepted write.
        survivor: Picks the result out of a state that is read `LASTING` seconds after the confirmation, given the write
            and the confirmed result: LaunchDarkly takes no precondition, so somebody who wrote at the same time may
            have undone this write. None writes again. Without it nothing is read then.
    """

    what: str
    read: Callable[[], Procedure[S]]
    reached: Callable[[S], R | None]
    write: Callable[[S], Request[Any] | Procedure[Request[Any]]]
    confirmed: Callable[[S, Written[S]], R | None]
    unconfirmed: Callable[[S, Written[S]], LaunchDarklyError]
    explain: Callable[[LaunchDarklyError, S], Procedure[LaunchDarklyError | None]] = _no_better_error
    may_pass: Callable[[InvalidRequestError], bool] = lambda _refusal: False
    response_is_state: bool = True
    settling: tuple[float, ...] = SETTLING
    survivor: Callable[[S, Written[S], R], R | None] | None = None


def ensure(desired: DesiredState[S, R]) -> Procedure[Ensured[R]]:
    """Reach a desired state, writing at most `TRIES` times and never without a read before.

    Someone else may change the resource between the read and the write. So after each failed write the state is read
    again: if it is reached, the write succeeds; if it can no longer be reached, ``reached`` raises the error
    that names why; else the write is sent again. After an unclear response it is read for as long as `SETTLING` before
    that, because the first write may still be under way.

    Args:
        desired: The desired state.

    Raises:
        ConflictError: LaunchDarkly reported a conflict at each try.
        UnclearOutcomeError: The last write was sent, and no read shows that it happened.
        InvalidRequestError: LaunchDarkly refused the write, and the state does not say why.
        LaunchDarklyError: As the declaration and the calls raise.
    """
    unclear = False
    failure: LaunchDarklyError | None = None
    state = yield from desired.read()
    for number in range(TRIES):
        result = desired.reached(state)
        if result is not None:
            return Ensured(result, changed=unclear)
        prepared = desired.write(state)
        request = prepared if isinstance(prepared, Request) else (yield from prepared)
        try:
            response = yield request
        except ConflictError as conflict:
            failure = (yield from desired.explain(conflict, state)) or conflict
            yield from _back_off(number)
            state = yield from desired.read()
        except UnclearOutcomeError as unknown:
            unclear = True
            why = f"it is not clear yet whether {desired.what}"
            state, _ = yield from read_until(desired.read, desired.reached, SETTLING, why)
            failure = unknown
        except InvalidRequestError as refusal:
            state = yield from desired.read()
            if desired.reached(state) is None:
                if not desired.may_pass(refusal):
                    yield from desired.explain(refusal, state)
                    raise
                yield from _back_off(number)
            failure = refusal
        else:
            written = Written(state, response.value)
            ensured = yield from _confirmed(desired, written)
            if desired.survivor is None:
                return ensured
            yield Sleep(LASTING, "somebody may be writing the same at the same time")
            state = yield from desired.read()
            kept = desired.survivor(state, written, ensured.value)
            if kept is not None:
                return Ensured(kept, changed=True)
            unclear, failure = True, desired.unconfirmed(state, written)
    result = desired.reached(state)
    if result is None:
        raise failure or AssertionError("every try that does not return fails")
    return Ensured(result, changed=unclear)


def _confirmed(desired: DesiredState[S, R], written: Written[S]) -> Procedure[Ensured[R]]:
    """Read after an accepted write: LaunchDarkly ignores fields that it does not know, and reads may lag behind."""
    result = None
    if desired.response_is_state:
        # A response of another shape proves nothing: then a read decides.
        with suppress(*STRANGE_DATA):
            result = desired.confirmed(written.response, written)
    if result is None:
        state, result = yield from read_until(
            desired.read,
            lambda state: desired.confirmed(state, written),
            desired.settling,
            f"it does not show yet that {desired.what}",
        )
        if result is None:
            raise desired.unconfirmed(state, written)
    return Ensured(result, changed=True)


def _back_off(number: int) -> Procedure[None]:
    """Wait before the next try, longer each time."""
    if number < TRIES - 1:
        yield Sleep(0.5 * 2**number, "LaunchDarkly did not take the write")


def fields_as_asked(
    what: str,
    *,
    read: Callable[[], Procedure[T]],
    differences: Callable[[T], tuple[Difference, ...]],
    write: Callable[[T], Request[Any] | Procedure[Request[Any]]],
    unseen: Callable[[T], bool] = lambda _state: False,
    explain: Callable[[LaunchDarklyError, T], Procedure[LaunchDarklyError | None]] = _no_better_error,
    response_is_state: bool = True,
    may_be_undone: bool = False,
) -> DesiredState[T, T]:
    """Declare that a resource has certain fields.

    Args:
        what: The desired state in words, for logs and errors.
        read: Reads the resource.
        differences: The fields of a resource that are not as asked. Raises if they cannot be.
        write: The call that sets them, or a procedure that prepares and returns it.
        unseen: Whether a read does not show one of the fields. Then they are always written, and an accepted write is
            believed.
        explain: As in `DesiredState`.
        response_is_state: As in `DesiredState`.
        may_be_undone: Whether somebody else's write at the same time may undo this one, so that it is read once more.

    Returns:
        The declaration. Its `unconfirmed` is a FieldsNotAppliedError that lists the differences.
    """

    def unconfirmed(state: T, _written: Written[T]) -> FieldsNotAppliedError:
        missing = differences(state)
        return FieldsNotAppliedError(
            f"LaunchDarkly accepted the write, and it is not so that {what}: {'; '.join(map(str, missing))}",
            differences=missing,
        )

    return DesiredState(
        what=what,
        read=read,
        reached=lambda state: None if differences(state) or unseen(state) else state,
        write=write,
        confirmed=lambda state, _written: None if differences(state) else state,
        unconfirmed=unconfirmed,
        explain=explain,
        response_is_state=response_is_state,
        survivor=(lambda state, _written, _result: None if differences(state) else state) if may_be_undone else None,
    )
