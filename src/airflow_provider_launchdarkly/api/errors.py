"""Exceptions of LaunchDarkly's API, one for each thing that a caller can react to.

Pure: nothing here imports httpx, pydantic or Airflow. No message, attribute or repr ever holds a token::

    LaunchDarklyError
    ├── ConfigurationError            a setting or an argument is wrong; nothing was sent
    │   ├── PolicyChangedError          the policy changed under a running iteration, and refuses that
    │   └── QuestionRepeatedError       the question was asked before, and the policy refuses that
    ├── ConnectionUnavailableError    Airflow does not give the connection out
    ├── WaitingFailedError            the waiting ended in an error that is not LaunchDarkly's
    ├── VersionMismatchError          worker and triggerer do not understand each other
    ├── TransportError                no response, and nothing can have happened
    ├── UnexpectedResponseError         a response that is not LaunchDarkly's: a redirect, HTML, another shape
    ├── UnclearOutcomeError           a write that may or may not have happened; read before writing again
    ├── ApiError                      LaunchDarkly responded with an error
    │   ├── InvalidRequestError         400, 422
    │   │   └── HealthChecksFailedError   400: a release's health checks fail
    │   ├── AuthenticationError         401: bad token, or no permission for the call
    │   ├── PermissionDeniedError       403
    │   │   └── GuardingDeniedError     403
    │   ├── ApprovalRequiredError       403 or 405 whose message names an approval
    │   ├── NotFoundError               404
    │   ├── ResultsUnavailableError     the results route is gone; this is not "no data yet"
    │   ├── ConflictError               409 that may pass
    │   │   └── RuleOwnedError            409 that will not: an experiment or a release holds the rule
    │   ├── RateLimitedError            429 beyond the time budget
    │   └── ServerError                 5xx to a read, beyond the time budget
    ├── DataNotArrivedError           the data of a look have not arrived by its deadline
    └── StateError                    LaunchDarkly responded, but the state is not as asked
        ├── ExperimentDiffersError      it exists, with other content
        ├── FieldsNotAppliedError       the write was accepted, and some of it was ignored
        ├── ExperimentArchivedError
        ├── IterationNotFoundError
        ├── IterationReplacedError      another iteration is under way than the pinned one
        ├── IterationStoppedError       the pinned iteration is stopped, and not as wanted
        ├── WrongIterationStoppedError  a stop that was sent took effect on another iteration
        ├── IterationNotStartedError
        ├── FlagOffError
        ├── ReleaseActiveError          another release is active on the flag than the one asked for
        ├── ReleaseEndedError           the release has ended, and not as wanted
        ├── ReleaseUnmeasuredError      the release completed without data on a metric that was to guard it
        └── MetricNotMeasuredError      the experiment does not measure the metric
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from typing_extensions import override

from airflow_provider_launchdarkly.api.failed_call import Call, Refusal


class LaunchDarklyError(Exception):
    """Any failure of a call to LaunchDarkly.

    Attributes:
        retryable: Whether running the whole task again later may cure it.
        call: The call that failed; None when the failure is not one call's.
    """

    retryable: ClassVar[bool] = False

    # Keyword arguments have defaults here and below, so that pickle, which calls the class with `args`, can rebuild it.
    def __init__(self, message: str = "", *, call: Call | None = None) -> None:
        super().__init__(message)
        self.call = call

    @property
    def operation(self) -> str | None:
        """Name of the call that failed."""
        return self.call.operation if self.call else None

    @property
    def method(self) -> str | None:
        """HTTP verb of the call that failed."""
        return self.call.method if self.call else None

    @property
    def path(self) -> str | None:
        """Path of the call that failed, without its query."""
        return self.call.path if self.call else None


class ConfigurationError(LaunchDarklyError):
    """A setting or an argument is wrong. Nothing was sent; the message names field, value and cure."""


class PolicyChangedError(ConfigurationError):
    """The iteration was judged by another policy before, and the policy's `on_change` refuses that."""


class QuestionRepeatedError(ConfigurationError):
    """An earlier iteration asked the same question, and the policy's `on_repeat` refuses that."""


class ConnectionUnavailableError(LaunchDarklyError):
    """Airflow has no such connection, or its secrets backend fails: Airflow raises the same for both.

    A waiting task tolerates it as an outage if this process has read the connection before, else fails at once.

    Attributes:
        found_before: True if this process has read the connection before.
    """

    retryable = True

    def __init__(self, message: str = "", *, call: Call | None = None, found_before: bool = False) -> None:
        super().__init__(message, call=call)
        self.found_before = found_before


class WaitingFailedError(LaunchDarklyError):
    """The waiting in the triggerer ended in an error that is not LaunchDarkly's. The triggerer's log has it whole."""

    retryable = True


class VersionMismatchError(LaunchDarklyError):
    """Worker and triggerer run versions of the provider that do not understand each other.

    Upgrade triggerers first. Until then each retry tries again, and the experiment is left as it is.
    """

    retryable = True


class TransportError(LaunchDarklyError):
    """No response within the time budget, and nothing can have happened: a read, or a write that was never sent."""

    retryable = True


class UnexpectedResponseError(LaunchDarklyError):
    """The response is not LaunchDarkly's: a redirect, a web page, JSON of another shape.

    Attributes:
        status: HTTP status of the response.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, status: int | None = None) -> None:
        super().__init__(message, call=call)
        self.status = status


class UnclearOutcomeError(LaunchDarklyError):
    """A write was sent and its outcome is unknown: timeout, closed connection, 5xx or an unreadable response.

    Never send the write again before a read has shown that it did not happen.

    Attributes:
        status: HTTP status if there was a response, else None.
    """

    retryable = True

    def __init__(self, message: str = "", *, call: Call | None = None, status: int | None = None) -> None:
        super().__init__(message, call=call)
        self.status = status


class ApiError(LaunchDarklyError):
    """LaunchDarkly responded with an error status.

    Attributes:
        refusal: LaunchDarkly's error response.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, refusal: Refusal | None = None) -> None:
        super().__init__(message, call=call)
        self.refusal = refusal or Refusal(status=0)

    @property
    def status(self) -> int:
        """HTTP status."""
        return self.refusal.status

    @property
    def code(self) -> str:
        """LaunchDarkly's error code, such as ``not_found``; empty when the body had none."""
        return self.refusal.code

    @property
    def message(self) -> str:
        """LaunchDarkly's own words; empty when the body had none."""
        return self.refusal.message

    @property
    def request_id(self) -> str | None:
        """The id that LaunchDarkly's support asks for."""
        return self.refusal.request_id


class InvalidRequestError(ApiError):
    """400 or 422: LaunchDarkly does not accept what was sent. Sending it again does not help."""


class FailedCheck(NamedTuple):
    """A health check that a release fails.

    Attributes:
        kind: LaunchDarkly's name of the check, as ``bypassHealthChecks`` takes it.
        metric_key: The metric that it is about; None if it is about the flag.
        message: LaunchDarkly's own words.
    """

    kind: str
    metric_key: str | None = None
    message: str = ""


class HealthChecksFailedError(InvalidRequestError):
    """400 ``health_checks_failed``: LaunchDarkly starts no release, since data that it needs do not arrive.

    Attributes:
        failing: The checks that fail.
    """

    def __init__(
        self,
        message: str = "",
        *,
        call: Call | None = None,
        refusal: Refusal | None = None,
        failing: tuple[FailedCheck, ...] = (),
    ) -> None:
        super().__init__(message, call=call, refusal=refusal)
        self.failing = failing


class AuthenticationError(ApiError):
    """401: the token is wrong or expired, or it has no permission for this call (LaunchDarkly uses 401 for both).

    Attributes:
        answered: How many calls of this token LaunchDarkly has answered in this process before.
    """

    answered: int = 0


class PermissionDeniedError(ApiError):
    """403: the token may not do this, or a beta resource was called without ``LD-API-Version: beta``.

    Attributes:
        answered: How many calls of this token LaunchDarkly has answered in this process before.
    """

    answered: int = 0


class GuardingDeniedError(PermissionDeniedError):
    """403 at the start of a guarded release: the token may not start it, or the account's plan guards no releases."""


class ApprovalRequiredError(ApiError):
    """403 or 405 because the change needs an approval. A person has to request and apply it in LaunchDarkly."""


class NotFoundError(ApiError):
    """404: no such thing, or not yet visible in the seconds after it was created."""


class ResultsUnavailableError(ApiError):
    """LaunchDarkly no longer serves the results route. Waiting does not help: choose another source of results."""


class ConflictError(ApiError):
    """409: somebody else changes the same thing, or owns it. A retry may help."""

    retryable = True


class RuleOwnedError(ConflictError):
    """409: another experiment or a release holds the flag's rule. A retry fails until that one is stopped.

    Attributes:
        owner: Key of the experiment that runs on the rule, or id of the release that holds it.
        flag_key: The flag.
        rule_id: The rule, ``fallthrough`` for the default rule.
    """

    retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        call: Call | None = None,
        refusal: Refusal | None = None,
        owner: str = "",
        flag_key: str = "",
        rule_id: str = "",
    ) -> None:
        super().__init__(message, call=call, refusal=refusal)
        self.owner = owner
        self.flag_key = flag_key
        self.rule_id = rule_id


class RateLimitedError(ApiError):
    """429 that lasts longer than the time budget of one call."""

    retryable = True


class ServerError(ApiError):
    """5xx to a read, beyond the time budget."""

    retryable = True


class DataNotArrivedError(LaunchDarklyError):
    """The data of a look have not arrived by its deadline, and the policy's `looks.on_data.otherwise` is `fail`."""

    retryable = True


class StateError(LaunchDarklyError):
    """LaunchDarkly responded, but the state is not as asked. Running the task again finds the same."""


class Difference(NamedTuple):
    """One field that is not as asked.

    Attributes:
        field: The field in LaunchDarkly's spelling, with its place: ``treatments[control].allocationPercent``.
        asked: What was asked for.
        found: What LaunchDarkly has; None when it shows nothing.
    """

    field: str
    asked: object
    found: object

    @override
    def __str__(self) -> str:
        return f"{self.field}: asked {self.asked!r}, found {self.found!r}"


class ExperimentDiffersError(StateError):
    """An experiment or a draft iteration is already there, with other content.

    Attributes:
        differences: What differs, field by field.
    """

    def __init__(
        self, message: str = "", *, call: Call | None = None, differences: tuple[Difference, ...] = ()
    ) -> None:
        super().__init__(message, call=call)
        self.differences = differences


class FieldsNotAppliedError(StateError):
    """LaunchDarkly accepted a write and ignored a part of it.

    LaunchDarkly ignores fields that an endpoint does not know, without an error (https://launchdarkly.com/docs/api).

    Attributes:
        differences: What did not take effect, field by field.
    """

    def __init__(
        self, message: str = "", *, call: Call | None = None, differences: tuple[Difference, ...] = ()
    ) -> None:
        super().__init__(message, call=call)
        self.differences = differences


class ExperimentArchivedError(StateError):
    """The experiment is archived. Restore it first: an archived experiment cannot start iterations."""


class IterationNotFoundError(StateError):
    """The experiment has no iteration with this id."""


class IterationReplacedError(StateError):
    """Another iteration than the pinned one is under way, or would be.

    Attributes:
        pinned: Id of the iteration that was asked for.
        found: Id of the other one; None when there is none.
    """

    def __init__(
        self, message: str = "", *, call: Call | None = None, pinned: str = "", found: str | None = None
    ) -> None:
        super().__init__(message, call=call)
        self.pinned = pinned
        self.found = found


class IterationStoppedError(StateError):
    """The pinned iteration is stopped: it cannot be started again, or it was stopped with another winner.

    Attributes:
        winner: Id of the treatment it was stopped with; None when LaunchDarkly shows none.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, winner: str | None = None) -> None:
        super().__init__(message, call=call)
        self.winner = winner


class WrongIterationStoppedError(StateError):
    """A stop that was sent for the pinned iteration took effect on another one, so it shipped that one's winner.

    LaunchDarkly's instruction names no iteration. Someone replaced the pinned one while the request was on its way. The
    message says what everyone is served now.

    Attributes:
        pinned: Id of the iteration that was to be stopped.
        stopped: Id of the one that was.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, pinned: str = "", stopped: str = "") -> None:
        super().__init__(message, call=call)
        self.pinned = pinned
        self.stopped = stopped


class IterationNotStartedError(StateError):
    """The pinned iteration has not been started, so it cannot be stopped and has no results."""


class FlagOffError(StateError):
    """The flag is off or archived in this environment. An iteration starts only on a flag that is on."""


class MetricNotMeasuredError(StateError):
    """The metric exists, but the iteration does not measure it."""


class ReleaseActiveError(StateError):
    """Another release is active on the flag in this environment than the one asked for.

    Attributes:
        release_id: Id of the active release.
        differences: What of it is not as asked, field by field.
    """

    def __init__(
        self,
        message: str = "",
        *,
        call: Call | None = None,
        release_id: str = "",
        differences: tuple[Difference, ...] = (),
    ) -> None:
        super().__init__(message, call=call)
        self.release_id = release_id
        self.differences = differences


class ReleaseEndedError(StateError):
    """The release has ended, and not as wanted: LaunchDarkly changes no release that has ended.

    Attributes:
        status: How it ended: ``completed`` or ``reverted``.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, status: str = "") -> None:
        super().__init__(message, call=call)
        self.status = status


class ReleaseUnmeasuredError(StateError):
    """The release completed, and LaunchDarkly has no data on a metric that was to guard it.

    Attributes:
        metrics: Keys of these metrics.
    """

    def __init__(self, message: str = "", *, call: Call | None = None, metrics: tuple[str, ...] = ()) -> None:
        super().__init__(message, call=call)
        self.metrics = metrics
