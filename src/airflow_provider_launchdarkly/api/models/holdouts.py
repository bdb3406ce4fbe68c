"""Holdouts keep people out of experiments; layers keep experiments apart."""

from typing import Annotated

from pydantic import Field

from airflow_provider_launchdarkly.api.models.base import Instant, Many, Number, Page, Read, Table, Text, Write
from airflow_provider_launchdarkly.api.models.experiment_inputs import MetricInput
from airflow_provider_launchdarkly.api.models.experiments import Experiment


class RelatedExperiment(Read):
    """An experiment that a holdout keeps people out of, as a list of holdouts names it."""

    key: Text = ""
    name: Text = ""
    environment: Text = ""


class Holdout(Read):
    """A holdout. ``status`` is ``created``, ``enabled``, ``running`` or ``ended``."""

    id: Text = Field(default="", alias="_id")
    key: Text = ""
    name: Text = ""
    description: Text = ""
    status: Text = ""
    holdout_amount: str | None = None
    is_dirty: bool | None = None
    created_at: Instant = None
    updated_at: Instant = None
    base_experiment: Experiment | None = None
    experiments: Many[RelatedExperiment] = ()
    related_experiments: Many[Experiment] = ()


class HoldoutPage(Page):
    """One page of holdouts."""

    items: Many[Holdout] = ()


class HoldoutPost(Write):
    """A new holdout. LaunchDarkly spells these names without capitals."""

    key: str | None = None
    name: str | None = None
    description: str | None = None
    randomization_unit: str | None = Field(default=None, alias="randomizationunit")
    attributes: tuple[str, ...] | None = None
    holdout_amount: str | None = Field(default=None, alias="holdoutamount")
    primary_metric_key: str | None = Field(default=None, alias="primarymetrickey")
    metrics: tuple[MetricInput, ...] | None = None
    prerequisite_flag_key: str | None = Field(default=None, alias="prerequisiteflagkey")
    maintainer_id: str | None = None


class LayerReservation(Read):
    """An experiment's reservation of a layer, in percent."""

    experiment_key: Text = ""
    reservation_percent: Number = None
    flag_key: str | None = None


class LayerConfig(Read):
    """A layer in one environment."""

    reservations: Many[LayerReservation] = ()


class Layer(Read):
    """A layer; ``environments`` is there only when asked for."""

    key: str
    name: Text = ""
    description: Text = ""
    created_at: Instant = None
    randomization_unit: str | None = None
    environments: Table[LayerConfig] = Field(default_factory=dict)


class LayerPage(Page):
    """All layers of a project."""

    items: Many[Layer] = ()


class LayerPost(Write):
    """A new layer."""

    key: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    description: str
