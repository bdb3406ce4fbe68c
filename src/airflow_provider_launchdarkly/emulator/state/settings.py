"""Switches for behaviour of LaunchDarkly that is unknown or differs between its versions.

Each default is the behaviour observed of the live service where that is known, and otherwise the documented one. The
switches can change while the emulator runs.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, assert_never, get_args, get_type_hints

from airflow_provider_launchdarkly.emulator.state.generations import GENERATIONS, GenerationName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_launchdarkly.emulator.state.generations import Generation
    from airflow_provider_launchdarkly.emulator.state.models import Environment


@dataclass(frozen=True, slots=True)
class Settings:
    """The positions of all switches.

    Attributes:
        content_type: Whether PATCH of an experiment needs the semantic-patch content type. The documentation requires
            it (`strict`: 400 without it); the service accepts plain JSON (`lenient`). Flags always need it.
        beta_header: Which resources respond with 403 without `LD-API-Version: beta`. Metric groups are tagged beta and
            always need it. LaunchDarkly's page on experiments requires it too, but LaunchDarkly's own tools omit it
            (`lenient`). With `strict`, experiments and their results need it as well.
        results: Whether the routes for experiment results exist. The published API lost them with client 18.0.0;
            whether the service still has them is unknown. With `gone` they respond as an unknown path does.
        draft_over_draft: The effect of creating an iteration while another has not started. The documentation creates
            an experiment, then an iteration, then starts it: `replace` allows that, `refuse` responds with 400.
        winner: Whether stopping needs a winning treatment. The service requires it; the documentation does not say.
        flag_version: When an outdated `flagConfigVersion` is rejected with 409: when the iteration is created
            (`at_create`), also when it starts (`always`), or `never`. LaunchDarkly's behaviour is unknown.
        treatment_ids: The ids of treatments. LaunchDarkly documents them as the ids of the variations that they serve
            (`variation`). With `own` the two differ, which uncovers code that confuses them.
        flag_approvals: Where the change of a flag needs an approval and responds with 405: in the environments that
            require it in the world (`by_environment`), or `everywhere`.
        experiment_approvals: Where the change of an experiment needs an approval: `never`, `by_environment` or
            `everywhere`. The service's response is unknown; here it is the 403 "approval is required" of segments.
        experiment_approvals_of: Which changes of an experiment need the approval: `every_change`, creations too, or
            only `starts_and_stops`. The service's rule is unknown.
        rate_limit_headers: The `X-Ratelimit-…` headers of responses without a fault: absent (`none`), `plenty` of calls
            left, or `low` with one call left in each family. LaunchDarkly sends any subset of them.
        rate_limit_families: The families of limits that those headers show: `all`, or some of the global one, that of a
            route and that of the token.
        release_plans: Whether the account has environment release plans. Without them, a start from one is a 422.
        guarded_releases: Whether the account's plan guards releases. Without, the start of one with metrics is a 403;
            LaunchDarkly documents that guarding is on select plans, and not its response.
        release_without_data: What a guarded release does at the end of a phase in which a metric had no event: `revert`
            with the published reason `reverted_insufficient_data`, or `complete`. LaunchDarkly does not document when.
        release_rollback: What a regression, or the lack of data, reverts in a release of several phases: `all_phases`,
            completed ones too, or the `current_phase` alone. LaunchDarkly says that it reverts the release.
        release_pauses: When a release reports `waiting` without a reason for an hour, and then goes on by itself:
            `never`, `between_phases` that advance automatically, or `between_steps`, and after the last one. The
            documentation says that a release waits between its phases, and that a waiting one may have no reason.
        people: Whether numeric results are drawn for groups of people (`grouped`), or are sums over single people's
            values (`single`), as a warehouse has them. A warehouse sets it. Units and conversions do not depend on it.
        generation: The API generation: the operations, fields and instructions of the published clients `17.1`, `17.2`
            or `25`, or `all` that were ever published, which serves every client.
    """

    content_type: Literal["lenient", "strict"] = "lenient"
    beta_header: Literal["lenient", "strict"] = "lenient"
    results: Literal["present", "gone"] = "present"
    draft_over_draft: Literal["replace", "refuse"] = "replace"
    winner: Literal["required", "optional"] = "required"
    flag_version: Literal["at_create", "always", "never"] = "at_create"
    treatment_ids: Literal["own", "variation"] = "own"
    flag_approvals: Literal["by_environment", "everywhere"] = "by_environment"
    experiment_approvals: Literal["never", "by_environment", "everywhere"] = "never"
    experiment_approvals_of: Literal["every_change", "starts_and_stops"] = "every_change"
    rate_limit_headers: Literal["none", "plenty", "low"] = "none"
    rate_limit_families: Literal["all", "global", "route", "token", "global+route", "global+token", "route+token"] = (
        "all"
    )
    release_plans: Literal["available", "unavailable"] = "available"
    guarded_releases: Literal["available", "unavailable"] = "available"
    release_without_data: Literal["revert", "complete"] = "revert"
    release_rollback: Literal["all_phases", "current_phase"] = "all_phases"
    release_pauses: Literal["never", "between_phases", "between_steps"] = "never"
    people: Literal["grouped", "single"] = "grouped"
    generation: GenerationName = "all"

    @property
    def api(self) -> Generation:
        """The generation of LaunchDarkly's API that the emulator serves."""
        return GENERATIONS[self.generation]

    def flag_approval(self, environment: Environment) -> bool:
        """Return whether the change of a flag in an environment needs an approval."""
        return self.flag_approvals == "everywhere" or environment.approvals_required

    def experiment_approval(self, environment: Environment) -> bool:
        """Return whether the change of an experiment in an environment needs an approval."""
        match self.experiment_approvals:
            case "never":
                return False
            case "by_environment":
                return environment.approvals_required
            case "everywhere":
                return True
            case _:
                assert_never(self.experiment_approvals)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """Return the settings with some switches changed.

        Raises:
            ValueError: A switch or its position is unknown.
        """
        choices = positions()
        for name, value in changes.items():
            if name not in choices:
                raise ValueError(f"no such switch: {name!r}; there are {', '.join(choices)}")
            if value not in choices[name]:
                raise ValueError(f"{name} can be {' or '.join(choices[name])}, not {value!r}")
        return replace(self, **changes)

    def to_json(self) -> dict[str, str]:
        """Return every switch with its position."""
        return asdict(self)


def positions() -> dict[str, tuple[str, ...]]:
    """Return every switch with its possible positions."""
    return {name: get_args(hint) for name, hint in get_type_hints(Settings).items()}
