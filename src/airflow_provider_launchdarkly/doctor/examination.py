"""Runs the checks one after the other. A check that fails becomes a line of the report and stops no other."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from airflow_provider_launchdarkly.api.errors import (
    ApiError,
    AuthenticationError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitedError,
    TransportError,
    UnexpectedResponseError,
)
from airflow_provider_launchdarkly.doctor.account import NothingToReadError
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.likeness import Likeness
from airflow_provider_launchdarkly.doctor.words import Told, Words, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.sandbox import Sandbox
    from airflow_provider_launchdarkly.doctor.warehouse import Warehouse

# The checks without which no other call can succeed.
_GATES: Final = ("connection", "token")


@dataclass(slots=True)
class Examination:
    """The findings so far.

    Attributes:
        show: Called with each finding as it is made.
        findings: The lines of the report, in the order of the checks.
        likeness: The emulator's settings that the checks found.
    """

    show: Callable[[Finding], None]
    findings: list[Finding] = field(default_factory=list)
    likeness: Likeness = field(default_factory=Likeness)

    def add(self, finding: Finding) -> None:
        """Add a line to the report."""
        self.findings.append(finding)
        self.show(finding)

    def run(self, name: str, check: Callable[[], Iterable[Finding]]) -> None:
        """Run a check; an error of it becomes a line of the report."""
        try:
            for finding in check():
                self.add(finding)
        except NothingToReadError as error:
            self.add(Finding(name, Status.UNKNOWN, say("not checked: {why}", why=str(error))))
        except LaunchDarklyError as error:
            self.add(_refused(name, error))
        except Exception as error:  # noqa: BLE001 - whatever a check stumbles over, the others go on
            what = say("the check itself failed: {error}", error=Told.of(error))
            self.add(Finding(name, Status.FAILED, what, say("paste the summary into a bug report")))

    def examine(self, account: Account, checks: Mapping[str, Callable[[Account, Likeness], Iterator[Finding]]]) -> bool:
        """Run the checks of a LaunchDarkly account; without a way in, the others are not tried.

        Returns:
            Whether there is a way in.
        """
        for number, (name, check) in enumerate(checks.items()):
            before = len(self.findings)
            self.run(name, partial(check, account, self.likeness))
            statuses = {finding.status for finding in self.findings[before:]}
            if name in _GATES and Status.FINE not in statuses:
                left = ", ".join(list(checks)[number + 1 :])
                what = say("not checked, since there is no way in: {left}", left=left)
                cure = say("mend the line above, then run again")
                self.add(Finding("launchdarkly", Status.UNKNOWN, what, cure))
                return False
        return True

    def examine_warehouse(self, account: Account | None, warehouse: Warehouse) -> None:
        """Run the checks of a warehouse; a sample look needs the account too."""
        from airflow_provider_launchdarkly.doctor import look
        from airflow_provider_launchdarkly.doctor.warehouse import CHECKS

        for name, check in CHECKS.items():
            self.run(name, partial(check, warehouse, self.likeness))
            if not warehouse.reached:
                return
        if account is not None:
            for name, sample in {"export look": look.check_export, "native look": look.check_native}.items():
                self.run(name, partial(sample, account, warehouse, self.likeness))

    def operate(self, sandbox: Sandbox) -> None:
        """Let a sandbox write, and delete again what it made, also if it fails or is interrupted."""
        try:
            self.run("sandbox", sandbox.steps)
        except KeyboardInterrupt:
            cure = say("run it again; the lines below say what is left")
            self.add(Finding("sandbox", Status.FAILED, say("interrupted"), cure))
        finally:
            self.run("sandbox", sandbox.clean)


def _refused(name: str, error: LaunchDarklyError) -> Finding:
    status = Status.MISSING if isinstance(error, ApiError) and not error.retryable else Status.FAILED
    return Finding(name, status, say("{error}", error=Told.of(error)), _cure(error))


_CURES: Final[tuple[tuple[type[LaunchDarklyError], str], ...]] = (
    (
        AuthenticationError,
        "correct the token in the connection's password: LaunchDarkly, Organization settings > Authorization",
    ),
    (PermissionDeniedError, "give the token a role that may read this"),
    (NotFoundError, "correct the key, or give the token access to it: LaunchDarkly answers 404 to both"),
    (RateLimitedError, "run the doctor again in a minute"),
    (UnexpectedResponseError, "correct the connection's host: it is the base URL of LaunchDarkly's API"),
    (TransportError, "correct the connection's host, or open the way to it: DNS, proxy, firewall, certificate"),
    (LaunchDarklyError, "follow the message; in a bug report paste the summary"),
)


def _cure(error: LaunchDarklyError) -> Words:
    return say(next(cure for kind, cure in _CURES if isinstance(error, kind)))
