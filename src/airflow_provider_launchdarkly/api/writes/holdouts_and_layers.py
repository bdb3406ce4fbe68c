"""End a holdout, and reserve a layer's traffic for an experiment."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.api import endpoints
from airflow_provider_launchdarkly.api.errors import Difference, StateError
from airflow_provider_launchdarkly.api.models import EndHoldout, UpdateExperimentReservation
from airflow_provider_launchdarkly.api.writes.ensure import Ensured, ensure, fields_as_asked

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.api.http.procedure import Procedure
    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Holdout, Layer

ENDED = "ended"


def end_holdout(env: EnvironmentRef, holdout_key: str, *, comment: str | None = None) -> Procedure[Ensured[Holdout]]:
    """End a holdout, so that its people may see experiments again. It never begins anew.

    Safe to repeat: a holdout that has ended is left alone.

    Args:
        env: Where it lives.
        holdout_key: Its key.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        LaunchDarklyError: As the calls raise.
    """

    def read() -> Procedure[Holdout]:
        holdout: Holdout = (yield endpoints.get_holdout(env, holdout_key)).value
        return holdout

    return ensure(
        fields_as_asked(
            f"holdout {holdout_key!r} in {env} has ended",
            read=read,
            differences=lambda found: () if found.status == ENDED else (Difference("status", ENDED, found.status),),
            write=lambda _found: endpoints.patch_holdout(env, holdout_key, [EndHoldout()], comment=comment),
        )
    )


def reserve(
    env: EnvironmentRef, layer_key: str, experiment_key: str, percent: int, *, comment: str | None = None
) -> Procedure[Ensured[Layer]]:
    """Reserve a share of a layer's traffic for an experiment.

    Safe to repeat: a reservation of this size is left alone.

    Args:
        env: Project and environment.
        layer_key: The layer.
        experiment_key: The experiment.
        percent: Its share, in whole percent. Zero is possible only until it starts.
        comment: Text for LaunchDarkly's audit log.

    Raises:
        StateError: There is no such layer.
        LaunchDarklyError: As the calls raise.
    """
    instruction = UpdateExperimentReservation.checked(
        {"experiment_key": experiment_key, "reservation_percent": percent}
    )

    def read() -> Procedure[Layer]:
        # LaunchDarkly has no call for one layer.
        layers = (yield endpoints.list_layers(env.project_key)).value.items
        found: Layer | None = next((layer for layer in layers if layer.key == layer_key), None)
        if found is None:
            known = ", ".join(layer.key for layer in layers) or "none"
            raise StateError(f"project {env.project_key!r} has no layer {layer_key!r}; it has {known}")
        return found

    def unseen(layer: Layer) -> bool:
        # A layer's environments are shown only when asked for, and LaunchDarkly's list takes no such wish.
        return env.environment_key not in layer.environments

    def differences(layer: Layer) -> tuple[Difference, ...]:
        if unseen(layer):
            return ()
        reservations = layer.environments[env.environment_key].reservations
        shown = next((r.reservation_percent for r in reservations if r.experiment_key == experiment_key), None)
        return () if shown == percent else (Difference(f"reservations[{experiment_key}]", percent, shown),)

    return ensure(
        fields_as_asked(
            f"layer {layer_key!r} reserves {percent} % for {experiment_key!r} in {env}",
            read=read,
            differences=differences,
            write=lambda _layer: endpoints.patch_layer(env, layer_key, [instruction], comment=comment),
            unseen=unseen,
        )
    )
