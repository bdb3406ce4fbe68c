"""An experiment of the doctor's own: made, run through its life and deleted again, to tell what only a write can."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, get_args

from airflow_provider_launchdarkly.api import endpoints, writes
from airflow_provider_launchdarkly.api.errors import (
    ApprovalRequiredError,
    AuthenticationError,
    ConflictError,
    GuardingDeniedError,
    InvalidRequestError,
    LaunchDarklyError,
    NotFoundError,
    PermissionDeniedError,
)
from airflow_provider_launchdarkly.api.http.request import JSON_CONTENT, EnvironmentRef
from airflow_provider_launchdarkly.api.models import (
    ExperimentPost,
    FlagPost,
    HealthCheck,
    IterationInput,
    MetricPost,
    OtherFlagInstruction,
    ReleasePost,
    StartIteration,
    UpdateName,
)
from airflow_provider_launchdarkly.api.reads.experiments import find_experiment, read_experiment
from airflow_provider_launchdarkly.api.reads.flags import read_flag
from airflow_provider_launchdarkly.api.writes.shipping import USER, kind_clause
from airflow_provider_launchdarkly.doctor.finding import Finding, Status
from airflow_provider_launchdarkly.doctor.words import Key, Told, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.doctor.account import Account
    from airflow_provider_launchdarkly.doctor.likeness import Likeness
    from airflow_provider_launchdarkly.doctor.words import Words

COMMENT: Final = "airflow-launchdarkly doctor --sandbox"
_TRIES: Final = 3
_STEPS: Final = ({"allocation": 1_000, "durationMillis": 86_400_000},)
_BACK: Final = "roll_back_all_phases_and_remove_pending_phases"


class _GaveUpError(Exception):
    """A step failed, and the steps after it need it. Its finding is made already."""


class Sandbox:
    """A flag, a metric and an experiment with one name, in a project whose owner allows it.

    Args:
        account: The account.
        like: Gets the emulator's switches that only writes can tell.
        project: The project.

    Attributes:
        name: Key of flag, metric and experiment; no other run has it.
    """

    def __init__(self, account: Account, like: Likeness, project: str) -> None:
        self.name = f"airflow-doctor-{secrets.token_hex(4)}"
        self._account = account
        self._like = like
        self._project = project
        # What may exist by now: each is put here before its request is sent.
        self._begun: list[str] = []

    @property
    def _env(self) -> EnvironmentRef:
        return EnvironmentRef(self._project, self._account.env.environment_key)

    def steps(self) -> Iterator[Finding]:
        """Make the experiment, start and stop it, and tell at each step what LaunchDarkly answers."""
        env = self._env
        yield Finding(
            "sandbox",
            Status.FINE,
            say(
                "makes flag, metric and experiment {name} in project {project}, environment {environment}",
                name=self.name,
                project=Key("project", env.project_key),
                environment=Key("environment", env.environment_key),
            ),
        )
        try:
            yield from self._life(env)
        except _GaveUpError:
            yield Finding("sandbox", Status.UNKNOWN, say("the steps after that were not tried"))

    def _life(self, env: EnvironmentRef) -> Iterator[Finding]:
        yield from self._step("creates a flag", self._begins("flag", self._create_flag))
        yield from self._step("creates a metric", self._begins("metric", self._create_metric))
        yield from self._step(
            "turns the flag on", lambda: self._run(writes.turn_flag(env, self.name, on=True, comment=COMMENT))
        )
        yield from self._step("creates an experiment", self._begins("experiment", self._create_experiment))
        yield from self._step("adds an iteration over a draft", self._draft_over_draft)
        yield from self._step("changes an experiment without the semantic content type", self._plain_patch)
        yield from self._step("starts an iteration", self._start)
        yield from self._step("stops an iteration without a winner", self._stop_without_winner)
        yield from self._step("stops an iteration with a winner", self._stop)
        yield self._guard()

    def _step(self, what: str, act: Callable[[], str | object]) -> Iterator[Finding]:
        """Act; the text that `act` returns is added to the finding."""
        try:
            told = act()
        except LaunchDarklyError as error:
            yield Finding(
                "sandbox",
                Status.MISSING,
                say("{what}: {error}", what=what, error=Told.of(error)),
                _cure(error),
            )
            raise _GaveUpError from None
        note = f": {told}" if isinstance(told, str) else ""
        yield Finding("sandbox", Status.FINE, say("{what}{note}", what=what, note=note))

    def _begins(self, kind: str, create: Callable[[], object]) -> Callable[[], object]:
        def begin() -> object:
            self._begun.append(kind)
            return create()

        return begin

    def _run(self, procedure: Procedure[Any]) -> Any:
        return self._account.run(procedure)

    def _create_flag(self) -> None:
        self._run(writes.create_flag(self._project, FlagPost(key=self.name, name=self.name, temporary=True)))

    def _create_metric(self) -> None:
        post = MetricPost(key=self.name, kind="custom", name=self.name, event_key=self.name, is_numeric=False)
        self._run(writes.create_metric(self._project, post))

    def _iteration(self, *, versions_old: int = 0) -> IterationInput:
        env = self._env
        flag = (
            self._account.client()
            .send(endpoints.get_flag(env.project_key, self.name, environments=(env.environment_key,)))
            .value
        )
        treatments = [
            {
                "name": f"Treatment {number}",
                "baseline": number == 0,
                "allocationPercent": "50",
                "parameters": [{"flagKey": self.name, "variationId": variation.id}],
            }
            for number, variation in enumerate(flag.variations[:2])
        ]
        version = flag.environments[env.environment_key].version
        if version is not None:
            version -= versions_old
        return IterationInput.checked(
            {
                "hypothesis": COMMENT,
                "metrics": [{"key": self.name}],
                "primarySingleMetricKey": self.name,
                "treatments": treatments,
                "flags": {self.name: {"ruleId": "fallthrough", "flagConfigVersion": version}},
            }
        )

    def _create_experiment(self) -> str:
        client, env = self._account.client(), self._env
        post = {"key": self.name, "name": self.name, "methodology": "bayesian"}
        identity = self._account.read(endpoints.get_caller_identity())
        if identity.service_token:
            post["maintainerId"] = self._account.read(endpoints.list_members(limit=1)).items[0].id

        def create(iteration: IterationInput) -> None:
            client.send(endpoints.create_experiment(env, ExperimentPost.checked({**post, "iteration": iteration})))

        try:
            create(self._iteration(versions_old=1))
        except ConflictError:
            self._like.switches["flag_version"] = "at_create"
            create(self._iteration())
            return "an outdated version of the flag is refused"
        self._like.switches["flag_version"] = "never"
        return "an outdated version of the flag is accepted"

    def _draft_over_draft(self) -> str:
        try:
            self._account.client().send(endpoints.create_iteration(self._env, self.name, self._iteration()))
        except InvalidRequestError:
            self._like.switches["draft_over_draft"] = "refuse"
            return "refused while another has not started"
        self._like.switches["draft_over_draft"] = "replace"
        return "accepted"

    def _plain_patch(self) -> str:
        patch = endpoints.patch_experiment(self._env, self.name, (UpdateName(value=f"{self.name} (doctor)"),))
        try:
            self._account.client().send(replace(patch, content_type=JSON_CONTENT))
        except InvalidRequestError:
            self._like.switches["content_type"] = "strict"
            return "refused"
        self._like.switches["content_type"] = "lenient"
        return "accepted"

    def _start(self) -> str:
        env = self._env
        for on in (False, True):  # which raises the flag's version
            self._run(writes.turn_flag(env, self.name, on=on, comment=COMMENT))
        start = endpoints.patch_experiment(env, self.name, (StartIteration(),), comment=COMMENT)
        try:
            self._account.client().send(start)
        except ConflictError:
            self._like.switches["flag_version"] = "always"
            self._account.client().send(endpoints.create_iteration(env, self.name, self._iteration()))
            self._account.client().send(start)
            note = "an outdated version of the flag is refused there too"
        else:
            note = "with an outdated version of the flag too"
        self._running()
        return note

    def _running(self) -> Iteration:
        iteration = self._experiment().running
        if iteration is None:
            raise LaunchDarklyError("LaunchDarkly accepted the start, and no iteration runs")
        return iteration

    def _experiment(self) -> Experiment:
        return self._account.run(read_experiment(self._env, self.name))

    def _stop_without_winner(self) -> str:
        # The provider itself never stops without a winner, so no instruction of it is one.
        patch = endpoints.patch_experiment(self._env, self.name, (StartIteration(),))
        try:
            self._account.client().send(replace(patch, body={"instructions": [{"kind": "stopIteration"}]}))
        except InvalidRequestError:
            self._like.switches["winner"] = "required"
            return "refused"
        self._like.switches["winner"] = "optional"
        return "accepted"

    def _stop(self) -> str:
        iteration = self._experiment().running
        if iteration is None:
            return "it was stopped without one before"
        self._run(
            writes.stop_iteration(
                self._env, self.name, iteration.id, winner=writes.BASELINE, reason=COMMENT, comment=COMMENT
            )
        )
        return "the flag serves the winner"

    def _guard(self) -> Finding:
        """Start a guarded release, and stop it: only that tells whether LaunchDarkly guards releases here."""
        env, what = self._env, "starts a guarded release"
        flag = self._run(read_flag(env, self.name))
        post = ReleasePost.checked(
            {
                "originalVariationId": flag.variations[0].id,
                "targetVariationId": flag.variations[1].id,
                "randomizationUnit": USER,
                "phases": [{"clauses": [kind_clause(USER)], "steps": _STEPS}],
                "metrics": [{"metricKey": self.name, "autoRollback": True}],
                # Nobody evaluates the flag, and no event is sent.
                "bypassHealthChecks": list(get_args(HealthCheck)),
                "comment": COMMENT,
            }
        )
        try:
            release = self._run(writes.start_release(env, self.name, post)).release
            self._run(writes.stop_release(env, self.name, release.id, _BACK, comment=COMMENT))
        except GuardingDeniedError as error:
            self._like.switches["guarded_releases"] = "unavailable"
            cure = "write kind: progressive or guarded_or_progressive in endings.ship.release; or, if the plan guards "
            cure += "releases, give the token a role that may start one"
            return Finding(
                "sandbox", Status.MISSING, say("{what}: {error}", what=what, error=Told.of(error)), say(cure)
            )
        except LaunchDarklyError as error:
            refused = say("{what}: {error}", what=what, error=Told.of(error))
            return Finding("sandbox", Status.MISSING, refused, _cure(error))
        self._like.switches["guarded_releases"] = "available"
        return Finding("sandbox", Status.FINE, say("{what}, and stops it", what=what))

    def clean(self) -> Iterator[Finding]:
        """Delete what was made, as far as LaunchDarkly deletes it; say what is left."""
        for kind, clean in (
            ("experiment", self._clean_experiment),
            ("flag", self._clean_flag),
            ("metric", self._clean_metric),
        ):
            if kind in self._begun:
                yield self._cleaned(kind, clean)

    def _cleaned(self, kind: str, clean: Callable[[], str]) -> Finding:
        for left in reversed(range(_TRIES)):
            try:
                return Finding(
                    "sandbox", Status.FINE, say("{kind} {name}: {done}", kind=kind, name=self.name, done=clean())
                )
            except LaunchDarklyError as error:
                if left == 0 or not error.retryable:
                    return Finding(
                        "sandbox",
                        Status.MISSING,
                        say("{kind} {name} is still there: {error}", kind=kind, name=self.name, error=Told.of(error)),
                        say("delete it in LaunchDarkly by hand"),
                    )
        raise AssertionError("unreachable")

    def _clean_experiment(self) -> str:
        experiment = self._account.run(find_experiment(self._env, self.name))
        if experiment is None:
            return "was never made"
        if experiment.running is not None:
            self._stop()
        self._run(writes.archive_experiment(self._env, self.name, comment=COMMENT))
        return "archived; LaunchDarkly deletes no experiment"

    def _clean_flag(self) -> str:
        try:
            return "deleted" if self._run(writes.delete_flag(self._project, self.name)).changed else "was never made"
        except ConflictError:
            archive = (OtherFlagInstruction(kind="archiveFlag"),)
            self._account.client().send(endpoints.patch_flag(self._env, self.name, archive, comment=COMMENT))
            return "archived; LaunchDarkly keeps it for the experiment"

    def _clean_metric(self) -> str:
        try:
            return "deleted" if self._run(writes.delete_metric(self._project, self.name)).changed else "was never made"
        except ConflictError:
            return "left; LaunchDarkly keeps it for the experiment"
        except NotFoundError:
            return "deleted"


def _cure(error: LaunchDarklyError) -> Words:
    if isinstance(error, ApprovalRequiredError):
        return say("choose an environment that demands no approvals, or let the token bypass them")
    if isinstance(error, AuthenticationError | PermissionDeniedError):
        return say("give the token a role that may do this, such as Writer")
    if error.retryable:
        return say("run it again later")
    return say("paste the summary into a bug report")
