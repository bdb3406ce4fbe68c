"""Switches for what is not known of LaunchDarkly, or differs between its versions.

Each default is what was seen of the live service where that is known, otherwise what its documentation says; each
switch says which. They can be changed while the emulator runs.
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
    """How strict the emulator is, and which LaunchDarkly it is.

    Attributes:
        content_type: whether PATCH of an experiment needs the semantic-patch content type. The documentation asks for
            it (`strict`, 400 without); the service takes plain JSON (`lenient`). Flags always need it.
        beta_header: which resources answer 403 without `LD-API-Version: beta`. Metric groups are still tagged beta and
            need it; the page for experiments asks for it too, but LaunchDarkly's own tools leave it out (`lenient`).
            `strict` needs it for experiments and their results as well.
        results: whether the routes for experiment results exist. They left the published API with client 18.0.0;
            whether they still answer is not known. `gone` answers as any unknown path does.
        draft_over_draft: what creating an iteration does while one waits to be started. The documentation creates an
            experiment, then an iteration, then starts: `replace` lets that work, `refuse` answers 400.
        winner: whether stopping needs a winning treatment. The documentation does not say so; the service does.
        flag_version: whether a `flagConfigVersion` that is not the flag's present one is refused with 409: when the
            iteration is created (`at_create`), then and when it starts (`always`), or `never`. Not known.
        treatment_ids: LaunchDarkly documents a treatment's id as the id of the variation it serves (`variation`).
            `own` gives treatments ids of their own, so that code which confuses the two is found out.
        flag_approvals: where changing a flag needs an approval, which answers 405: in environments that say so
            (`by_environment`, as the world file sets it), or `everywhere`.
        experiment_approvals: where changing an experiment needs one: `never`, `by_environment` or `everywhere`. The
            answer of the service is not known; here it is the 403 "approval is required" that segments give.
        rate_limit_headers: what the `X-Ratelimit-…` headers of ordinary answers say: nothing (`none`, they are
            absent), `plenty` left, or `low`: one call left of each family. LaunchDarkly sends any subset of them.
        generation: whose API it is: that of the published clients `17.1`, `17.2` or `25`, by the operations, fields
            and instructions that they have, or `all` that was ever published, which serves every client.
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
    rate_limit_headers: Literal["none", "plenty", "low"] = "none"
    generation: GenerationName = "all"

    @property
    def api(self) -> Generation:
        """The generation of LaunchDarkly's API that the emulator serves."""
        return GENERATIONS[self.generation]

    def flag_approval(self, environment: Environment) -> bool:
        """Whether a change of a flag in that environment needs an approval."""
        return self.flag_approvals == "everywhere" or environment.approvals_required

    def experiment_approval(self, environment: Environment) -> bool:
        """Whether a change of an experiment in that environment needs an approval."""
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
        """The same settings with some switched.

        Raises:
            ValueError: a switch or its position does not exist.
        """
        choices = positions()
        for name, value in changes.items():
            if name not in choices:
                raise ValueError(f"no such switch: {name!r}; there are {', '.join(choices)}")
            if value not in choices[name]:
                raise ValueError(f"{name} can be {' or '.join(choices[name])}, not {value!r}")
        return replace(self, **changes)

    def to_json(self) -> dict[str, str]:
        """Every switch and its position."""
        return asdict(self)


def positions() -> dict[str, tuple[str, ...]]:
    """Every switch and the positions it has."""
    return {name: get_args(hint) for name, hint in get_type_hints(Settings).items()}
