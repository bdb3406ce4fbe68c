"""The four writes of an experiment's life: create it, create an iteration, start it, stop it.

Thin shells: what makes each write safe to repeat is in ``api/lifecycle.py``, where reads surround every write.
"""

from __future__ import annotations

from abc import abstractmethod
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypedDict

from airflow.providers.common.compat.sdk import AirflowFailException, BaseOperator
from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import LaunchDarklyError
from airflow_provider_launchdarkly.hooks import DEFAULT_CONNECTION
from airflow_provider_launchdarkly.links import LaunchDarklyExperimentLink
from airflow_provider_launchdarkly.operators.design import IterationDesign
from airflow_provider_launchdarkly.operators.winner import choose_winner
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.lifecycle import StopPlan
    from airflow_provider_launchdarkly.api.models import Experiment, Iteration
    from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook
    from airflow_provider_launchdarkly.operators.design import MetricSpec, TreatmentSpec


class TreatmentOutput(TypedDict):
    """One treatment of an iteration, as XCom carries it."""

    treatment_id: str | None
    name: str
    baseline: bool
    allocation_percent: str
    variation_id: str | None


class IterationOutput(TypedDict):
    """What the operators return about an experiment and its pinned iteration: plain JSON.

    ``changed`` is False when the task found its work done already.
    """

    project_key: str
    environment_key: str
    experiment_key: str
    iteration_id: str
    status: str
    treatments: list[TreatmentOutput]
    url: str
    changed: bool


class StopOutput(IterationOutput):
    """What stopping returns: also the winner, and what everyone matched by the rule is served since."""

    winning_treatment_id: str
    winning_treatment: str
    winning_reason: str | None
    flag_key: str
    rule_id: str
    variation_id: str
    variation: Any


class LaunchDarklyExperimentOperator(BaseOperator):
    """What every operator on one experiment shares: connection, keys, link, and failing fast.

    Args:
        experiment_key: Key of the experiment in its environment.
        project_key: Default: the connection's.
        environment_key: Default: the connection's.
        launchdarkly_conn_id: The Airflow connection.
    """

    template_fields: Sequence[str] = ("experiment_key", "project_key", "environment_key", "launchdarkly_conn_id")
    operator_extra_links = (LaunchDarklyExperimentLink(),)
    ui_color = "#e5e9ff"
    ui_fgcolor = "#1a1f36"

    def __init__(
        self,
        *,
        experiment_key: str,
        project_key: str | None = None,
        environment_key: str | None = None,
        launchdarkly_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        # Each entry of the output is an XCom of its own as well: `create.output["iteration_id"]` works.
        super().__init__(**{"multiple_outputs": True} | kwargs)
        self.experiment_key = experiment_key
        self.project_key = project_key
        self.environment_key = environment_key
        self.launchdarkly_conn_id = launchdarkly_conn_id

    @cached_property
    def hook(self) -> LaunchDarklyHook:
        """The hook on the task's connection, with the task's project and environment as defaults."""
        # Imported here, as everything that only a running task needs: each DAG file is parsed anew every few seconds.
        from airflow_provider_launchdarkly.hooks.launchdarkly import LaunchDarklyHook

        return LaunchDarklyHook(
            self.launchdarkly_conn_id, project_key=self.project_key, environment_key=self.environment_key
        )

    @property
    def experiment_url(self) -> str:
        """Where LaunchDarkly's UI shows the experiment."""
        return self.hook.experiment_url(self.experiment_key)

    @abstractmethod
    def act(self, context: Context) -> Any:
        """Do the operator's work and return what XCom gets."""

    @override
    def execute(self, context: Context) -> Any:
        """Run the operator, and spend no retry on what a retry cannot cure.

        Raises:
            AirflowFailException: LaunchDarkly's answer, or the input, stays the same on another try.
            LaunchDarklyError: Anything that another try may cure; Airflow's ``retries`` apply.
        """
        try:
            return self.act(context)
        except LaunchDarklyError as error:
            if error.retryable:
                raise
            raise AirflowFailException(f"{type(error).__name__}: {error}") from error

    def _describe(self, experiment: Experiment, iteration: Iteration, *, changed: bool) -> IterationOutput:
        environment = self.hook.environment()
        return {
            "project_key": environment.project_key,
            "environment_key": environment.environment_key,
            "experiment_key": experiment.key,
            "iteration_id": iteration.id or "",
            "status": str(iteration.status),
            "treatments": [
                {
                    "treatment_id": treatment.id,
                    "name": treatment.name,
                    "baseline": treatment.baseline,
                    "allocation_percent": str(treatment.allocation_percent),
                    "variation_id": next((parameter.variation_id for parameter in treatment.parameters), None),
                }
                for treatment in iteration.treatments
            ],
            "url": self.experiment_url,
            "changed": changed,
        }


# Where a task keeps the id of the iteration that it made, in Airflow's task state store.
ITERATION_ID = "iteration_id"

DESIGN_FIELDS = (
    "flag_key",
    "hypothesis",
    "treatments",
    "primary_metric",
    "primary_funnel",
    "metrics",
    "rule_id",
    "not_in_experiment_variation",
    "randomization_unit",
    "can_reshuffle_traffic",
    "attributes",
    "covariate_id",
)


class LaunchDarklyIterationDesignOperator(LaunchDarklyExperimentOperator):
    """What the operators that describe an iteration share: its design, checked as early as it can be.

    Args:
        flag_key: Key of the flag whose rule serves the treatments.
        hypothesis: What is believed, in a sentence. LaunchDarkly requires one.
        treatments: Two or more of ``{"variation": …, "allocation_percent": …, "baseline": …, "name": …}``. A variation
            is named by its name, its value or its id. Percentages add up to 100; exactly one is the baseline.
        primary_metric: Key of the metric that decides; or
        primary_funnel: key of the funnel metric group that decides. One of the two.
        metrics: Further metrics: keys, or ``{"key": …, "is_group": True}`` for metric groups.
        rule_id: Id of the flag's rule; ``fallthrough`` is the default rule.
        not_in_experiment_variation: What people are served whom the experiment leaves out. Default: the baseline's.
        randomization_unit: Context kind that is randomized. Default: LaunchDarkly's, ``user``.
        can_reshuffle_traffic: False keeps people in their treatment when the audience grows.
        attributes: Context attributes by which results can be sliced.
        covariate_id: Id of a covariate file for stratified sampling.
    """

    template_fields: Sequence[str] = (*LaunchDarklyExperimentOperator.template_fields, *DESIGN_FIELDS)

    def __init__(
        self,
        *,
        flag_key: str,
        hypothesis: str,
        treatments: Sequence[TreatmentSpec | Mapping[str, Any]],
        primary_metric: str | None = None,
        primary_funnel: str | None = None,
        metrics: Sequence[str | MetricSpec | Mapping[str, Any]] = (),
        rule_id: str = "fallthrough",
        not_in_experiment_variation: Any = None,
        randomization_unit: str | None = None,
        can_reshuffle_traffic: bool | None = None,
        attributes: Sequence[str] | None = None,
        covariate_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.flag_key = flag_key
        self.hypothesis = hypothesis
        self.treatments = treatments
        self.primary_metric = primary_metric
        self.primary_funnel = primary_funnel
        self.metrics = metrics
        self.rule_id = rule_id
        self.not_in_experiment_variation = not_in_experiment_variation
        self.randomization_unit = randomization_unit
        self.can_reshuffle_traffic = can_reshuffle_traffic
        self.attributes = attributes
        self.covariate_id = covariate_id
        if all(is_literal(getattr(self, field)) for field in DESIGN_FIELDS):
            self.design().check()

    def design(self) -> IterationDesign:
        """The iteration as the rendered fields describe it."""
        return IterationDesign(**{field: getattr(self, field) for field in DESIGN_FIELDS})


class LaunchDarklyCreateExperimentOperator(LaunchDarklyIterationDesignOperator):
    """Create an experiment with its first iteration. Nobody is served anything new until the iteration is started.

    Safe to repeat: the experiment's key is yours. An experiment with this key and this content is adopted, one with
    other content is an error that shows the difference. After an unclear answer the experiment is read before
    anything is sent again.

    Args:
        experiment_key: Key of the experiment in its environment.
        name: Name in LaunchDarkly's UI.
        description: Description in LaunchDarkly's UI.
        maintainer_id: Id of the member who maintains it. Needed with a service token, which has no member of its own.
        methodology: ``bayesian``, ``frequentist`` or ``export_only``. Always sent, since LaunchDarkly's default has
            changed over time.
        analysis_config: LaunchDarkly's own analysis settings: thresholds, direction, corrections.
        data_source: Where metric events come from. Default: LaunchDarkly.
        experiment_type: ``experiment`` (LaunchDarkly's default), ``mab`` or ``holdout``.
        holdout_id: Id of the holdout it belongs to.
        tags: Tags.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignOperator`), and what every task has.

    Returns:
        :class:`IterationOutput`, with ``changed`` False if the experiment was adopted.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyIterationDesignOperator.template_fields,
        "name",
        "description",
        "maintainer_id",
        "methodology",
        "analysis_config",
        "holdout_id",
        "tags",
    )

    def __init__(
        self,
        *,
        name: str,
        description: str | None = None,
        maintainer_id: str | None = None,
        methodology: str = "bayesian",
        analysis_config: Mapping[str, Any] | None = None,
        data_source: str | None = None,
        experiment_type: str | None = None,
        holdout_id: str | None = None,
        tags: Sequence[str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.description = description
        self.maintainer_id = maintainer_id
        self.methodology = methodology
        self.analysis_config = analysis_config
        self.data_source = data_source
        self.experiment_type = experiment_type
        self.holdout_id = holdout_id
        self.tags = tags

    @override
    def act(self, context: Context) -> IterationOutput:
        """Create the experiment, or adopt the one that is there already."""
        from airflow_provider_launchdarkly.api.models import ExperimentPost

        post = ExperimentPost.checked(
            {
                "key": self.experiment_key,
                "name": self.name,
                "description": self.description,
                "maintainer_id": self.maintainer_id,
                "methodology": self.methodology,
                "analysis_config": self.analysis_config,
                "data_source": self.data_source,
                "type": self.experiment_type,
                "holdout_id": self.holdout_id,
                "tags": self.tags,
                "iteration": self.design().resolve(self.hook.get_flag(self.flag_key)),
            }
        )
        created = self.hook.create_experiment(post)
        self.log.info(
            "%s experiment %s, iteration %s (%s).",
            "Adopted" if created.adopted else "Created",
            self.experiment_key,
            created.iteration.id,
            created.iteration.status,
        )
        return self._describe(created.experiment, created.iteration, changed=not created.adopted)


class LaunchDarklyCreateIterationOperator(LaunchDarklyIterationDesignOperator):
    """Create a new iteration of an experiment, as a draft. Each iteration collects data of its own.

    LaunchDarkly has no key for an iteration, so a repeat is made safe by reading first: a draft with this content is
    adopted, a draft with other content is an error that shows the difference. On Airflow 3.3 and later the task also
    remembers the iteration that it made, so that clearing it after the iteration was started makes no second one.

    Args:
        experiment_key: Key of the experiment.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignOperator`), and what every task has.

    Returns:
        :class:`IterationOutput`, with ``changed`` False if the iteration was there already.
    """

    @override
    def act(self, context: Context) -> IterationOutput:
        """Create the iteration, or adopt the one that an earlier try made."""
        from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS

        store = context.get("task_state_store")
        if store is not None and (known := store.get(ITERATION_ID)):
            experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
            if iteration := experiment.iteration(str(known)):
                self.log.info("An earlier try made iteration %s: nothing to do.", known)
                return self._describe(experiment, iteration, changed=False)
        design = self.design().resolve(self.hook.get_flag(self.flag_key))
        created = self.hook.create_iteration(self.experiment_key, design)
        if store is not None:
            store.set(ITERATION_ID, created.iteration.id)
        self.log.info(
            "%s iteration %s of %s.",
            "Adopted" if created.adopted else "Created",
            created.iteration.id,
            self.experiment_key,
        )
        return self._describe(created.experiment, created.iteration, changed=not created.adopted)


class LaunchDarklyStartIterationOperator(LaunchDarklyExperimentOperator):
    """Start an iteration: from here on people are assigned and measured.

    Safe to repeat: the iteration is pinned by its id. Running already is success without a write; another iteration
    under way, or this one stopped, is an error. After an unclear answer the experiment is read before anything is
    sent again.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to start, usually the output of the task that created it.
        turn_flag_on: Turn the flag on first if it is off. LaunchDarkly starts nothing on a flag that is off.
        change_justification: Required by LaunchDarkly when another iteration of the experiment is running, which ends
            with this start. Left out, a running iteration is an error.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`IterationOutput`, with ``changed`` False if the iteration was running already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentOperator.template_fields,
        "iteration_id",
        "change_justification",
        "comment",
    )

    def __init__(
        self,
        *,
        iteration_id: str,
        turn_flag_on: bool = False,
        change_justification: str | None = None,
        comment: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iteration_id = iteration_id
        self.turn_flag_on = turn_flag_on
        self.change_justification = change_justification
        self.comment = comment

    @override
    def act(self, context: Context) -> IterationOutput:
        """Start the iteration, unless it is running already."""
        started = self.hook.start_iteration(
            self.experiment_key,
            self.iteration_id,
            turn_flag_on=self.turn_flag_on,
            justification=self.change_justification,
            comment=self.comment or audit_comment(context),
        )
        if started.flag_turned_on:
            self.log.info("Turned the flag on.")
        if started.already_running:
            self.log.info("Iteration %s was running already: nothing to do.", self.iteration_id)
        else:
            self.log.info("Started iteration %s of %s.", self.iteration_id, self.experiment_key)
        return self._describe(started.experiment, started.iteration, changed=not started.already_running)


class LaunchDarklyStopIterationOperator(LaunchDarklyExperimentOperator):
    """Stop an iteration, which ships its winner: LaunchDarkly sets the flag's rule to the winner's variation.

    There is no default winner. Safe to repeat: stopped already with the same winner is success without a write,
    stopped with another is an error. Killing the task does not stop the experiment.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to stop.
        winner: A treatment's id or name, ``"baseline"``, or the verdict of
            :class:`~airflow_provider_launchdarkly.sensors.significance.LaunchDarklyWaitForSignificanceSensor`
            (``winner=wait.output``). A ``ship`` verdict names its treatment, ``rollback`` and ``inconclusive`` name the
            baseline; ``invalid`` stops nothing and fails the task, since a person has to look.
        reason: Recorded in LaunchDarkly as the reason. Default: the verdict's summary.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.

    Returns:
        :class:`StopOutput`, with ``changed`` False if the iteration was stopped with this winner already.
    """

    template_fields: Sequence[str] = (
        *LaunchDarklyExperimentOperator.template_fields,
        "iteration_id",
        "winner",
        "reason",
        "comment",
    )

    def __init__(
        self,
        *,
        iteration_id: str,
        winner: Any,
        reason: str | None = None,
        comment: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.iteration_id = iteration_id
        self.winner = winner
        self.reason = reason
        self.comment = comment

    @override
    def act(self, context: Context) -> StopOutput:
        """Say what will be served, and stop the iteration, unless it is stopped with this winner already."""
        winner = choose_winner(self.winner, experiment_key=self.experiment_key, iteration_id=self.iteration_id)
        reason = self.reason or winner.reason or f"named by {context['ti'].dag_id}.{context['ti'].task_id}"
        stopped = self.hook.stop_iteration(
            self.experiment_key,
            self.iteration_id,
            winner=winner.treatment,
            reason=reason,
            comment=self.comment or audit_comment(context),
            announce=self._announce,
        )
        plan = stopped.plan
        if stopped.already_stopped:
            self.log.info(
                "Iteration %s was stopped with %r already: nothing to do.", self.iteration_id, plan.winner.name
            )
        return {
            **self._describe(stopped.experiment, stopped.iteration, changed=not stopped.already_stopped),
            "winning_treatment_id": plan.winner.id or "",
            "winning_treatment": plan.winner.name,
            "winning_reason": stopped.iteration.winning_reason,
            "flag_key": plan.flag_key,
            "rule_id": plan.rule_id,
            "variation_id": plan.variation.id,
            "variation": plan.variation.value,
        }

    def _announce(self, plan: StopPlan) -> None:
        self.log.info("%s", plan)


def audit_comment(context: Context) -> str:
    """What LaunchDarkly's audit log says of a write that names no comment of its own."""
    ti = context["ti"]
    return f"Airflow: {ti.dag_id}.{ti.task_id}, run {ti.run_id}"
