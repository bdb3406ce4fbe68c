"""The four writes of an experiment's life: create it, create an iteration, start it, stop it.

Thin shells: what makes each write safe to repeat is in ``api/lifecycle``, where reads surround every write.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from airflow_provider_launchdarkly.api.errors import ConfigurationError, NotFoundError, StateError
from airflow_provider_launchdarkly.assets import EVERY_EXPERIMENT, emit_event
from airflow_provider_launchdarkly.operators.base import LaunchDarklyExperimentOperator, audit_comment
from airflow_provider_launchdarkly.operators.design import IterationDesign
from airflow_provider_launchdarkly.operators.winner import choose_winner
from airflow_provider_launchdarkly.templates import is_literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta

    from airflow.sdk import Context

    from airflow_provider_launchdarkly.api.lifecycle import StopPlan
    from airflow_provider_launchdarkly.api.models import IterationInput
    from airflow_provider_launchdarkly.operators.design import MetricSpec, TreatmentSpec
    from airflow_provider_launchdarkly.operators.outputs import IterationOutput, StopOutput

# Where a task keeps the id of the iteration that it made, in Airflow's task state store; and of the one it starts.
ITERATION_ID = "iteration_id"
STARTING = "starting"

# What a start does when the iteration runs already and this task did not start it.
IF_RUNNING = ("adopt", "refuse")

# By which of LaunchDarkly's calls a new iteration is made.
METHODS = ("post", "update_draft", "save_and_start")

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
    "reallocation_frequency",
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
        reallocation_frequency: How often a bandit moves its traffic: a timedelta, or seconds.
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
        reallocation_frequency: timedelta | float | str | None = None,
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
        self.reallocation_frequency = reallocation_frequency
        if all(is_literal(getattr(self, field)) for field in DESIGN_FIELDS):
            self.design().check()

    def design(self) -> IterationDesign:
        """The iteration as the rendered fields describe it."""
        return IterationDesign(**{field: getattr(self, field) for field in DESIGN_FIELDS})

    def resolved(self) -> IterationInput:
        """The design as LaunchDarkly takes it: variations by id, metrics known to exist.

        Raises:
            ConfigurationError: The project has no such metric or metric group; LaunchDarkly would take a metric group
                for a metric.
        """
        design = self.design()
        iteration = design.resolve(self.hook.get_flag(self.flag_key))
        for key, is_group in design.metric_kinds().items():
            what = "metric group" if is_group else "metric"
            try:
                found = self.hook.get_metric_group(key) if is_group else self.hook.get_metric(key)
            except NotFoundError:
                raise ConfigurationError(
                    f"metrics: project {self.hook.project()!r} has no {what} {key!r}; a metric group is written as "
                    "{'key': …, 'is_group': True}"
                ) from None
            if getattr(found, "archived", False):
                raise ConfigurationError(f"metrics: {what} {key!r} is archived, so nothing would be measured")
        return iteration


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
        experiment_type: ``experiment`` (LaunchDarkly's default), ``mab`` for a multi-armed bandit, or ``holdout``.
        holdout_id: Id of the holdout it belongs to.
        tags: Tags.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignOperator`), and what every task has.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the experiment was adopted.
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
        if self.reallocation_frequency is not None and experiment_type != "mab":
            raise ConfigurationError(
                f"reallocation_frequency is {self.reallocation_frequency!r} and experiment_type {experiment_type!r}: "
                "only a bandit (experiment_type='mab') moves its traffic"
            )

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
                "iteration": self.resolved(),
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
    """Create a new iteration of an experiment. Each iteration collects data of its own.

    LaunchDarkly has no key for an iteration, so a repeat is made safe by reading first: an iteration with this content
    is adopted, and what would be ended or overwritten by mistake is an error that shows the difference. On Airflow 3.3
    and later the task also remembers the iteration that it made, so that clearing it later makes no second one.

    Args:
        experiment_key: Key of the experiment.
        method: By which of LaunchDarkly's calls.

            ``post`` (default) creates a draft beside whatever is under way: ``POST …/iterations``, published up to
            LaunchDarkly's client 22 and deprecated since 23. A draft with other content is an error.

            ``update_draft`` changes the draft that the experiment has into this design, by ``updateExperimentFields``
            (since client 23). The experiment's current iteration has to be one that was never started.

            ``save_and_start`` ends the running iteration without a winner and runs a copy with this design in its
            place, in one step, by ``saveAndStartNewIteration`` (since client 23). Nothing is shipped.

            The last two cannot change the flag, its rule or the covariate file.
        comment: Recorded in LaunchDarkly's audit log by the last two. Default: the DAG run and task.
        kwargs: The iteration's design (see :class:`LaunchDarklyIterationDesignOperator`), and what every task has.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the iteration was there already.
    """

    template_fields: Sequence[str] = (*LaunchDarklyIterationDesignOperator.template_fields, "method", "comment")

    def __init__(self, *, method: str = "post", comment: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.method = method
        self.comment = comment
        if is_literal(method):
            self._check_method()

    @override
    def act(self, context: Context) -> IterationOutput:
        """Create the iteration, or adopt the one that an earlier try made."""
        from airflow_provider_launchdarkly.api.lifecycle import ITERATIONS
        from airflow_provider_launchdarkly.operators.new_iteration import make_iteration

        self._check_method()
        store = context.get("task_state_store")
        if store is not None and (known := store.get(ITERATION_ID)):
            experiment = self.hook.get_experiment(self.experiment_key, expand=ITERATIONS)
            if iteration := experiment.iteration(str(known)):
                self.log.info("An earlier try made iteration %s: nothing to do.", known)
                return self._describe(experiment, iteration, changed=False)
        made = make_iteration(
            self.hook,
            self.experiment_key,
            self.resolved(),
            method=self.method,
            comment=self.comment or audit_comment(context),
        )
        if store is not None:
            store.set(ITERATION_ID, made.iteration.id)
        self.log.info(
            "%s iteration %s of %s (%s).",
            "Made" if made.made else "Adopted",
            made.iteration.id,
            self.experiment_key,
            made.iteration.status,
        )
        return self._describe(made.experiment, made.iteration, changed=made.made)

    def _check_method(self) -> None:
        if self.method not in METHODS:
            raise ConfigurationError(f"method is {self.method!r}: write one of {', '.join(METHODS)}")


class AlreadyRunningError(StateError):
    """The iteration runs already, started by another run, and the task was told to refuse then."""


class LaunchDarklyStartIterationOperator(LaunchDarklyExperimentOperator):
    """Start an iteration: from here on people are assigned and measured.

    Safe to repeat: the iteration is pinned by its id. Running already is success without a write; another iteration
    under way, or this one stopped, is an error. After an unclear answer the experiment is read before anything is
    sent again.

    Two DAG runs that come to the same iteration: LaunchDarkly starts it once, for one of them. The other run adopts
    what runs, or refuses, by `if_running`; it never ends or changes it.

    Args:
        experiment_key: Key of the experiment.
        iteration_id: Id of the iteration to start, usually the output of the task that created it.
        if_running: What follows when the iteration runs already and this task did not start it. ``adopt`` (default):
            success. ``refuse``: the task fails without a retry. A retry or a cleared task takes what it started itself
            for its own; on Airflow before 3.3, which has no memory for tasks, every try after the first adopts.
        turn_flag_on: Turn the flag on first if it is off. LaunchDarkly starts nothing on a flag that is off.
        change_justification: Required by LaunchDarkly when another iteration of the experiment is running, which ends
            with this start. Left out, a running iteration is an error.
        comment: Recorded in LaunchDarkly's audit log. Default: the DAG run and task.
        emit_asset: Emit the event ``start`` on the experiment's asset (see ``assets``) whenever the task succeeds, also
            when a repeat finds its work done: ``changed`` tells.

    Returns:
        :class:`.IterationOutput`, with ``changed`` False if the iteration was running already.
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
        if_running: str = "adopt",
        comment: str | None = None,
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if if_running not in IF_RUNNING:
            raise ConfigurationError(f"if_running is {if_running!r}: write one of {', '.join(IF_RUNNING)}")
        self.if_running = if_running
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_EXPERIMENT]
        self.iteration_id = iteration_id
        self.turn_flag_on = turn_flag_on
        self.change_justification = change_justification
        self.comment = comment

    @override
    def act(self, context: Context) -> IterationOutput:
        """Start the iteration, unless it is running already."""
        adopts = self.if_running == "adopt" or self._may_have_started(context)
        started = self.hook.start_iteration(
            self.experiment_key,
            self.iteration_id,
            turn_flag_on=self.turn_flag_on,
            justification=self.change_justification,
            comment=self.comment or audit_comment(context),
            announce=lambda _iteration: self._remember(context),
        )
        if started.flag_turned_on:
            self.log.info("Turned the flag on.")
        if started.already_running and not adopts:
            raise AlreadyRunningError(
                f"iteration {self.iteration_id!r} of experiment {self.experiment_key!r} runs already, and this task "
                "did not start it: another run has it. Nothing was changed. To go on with it: if_running='adopt'"
            )
        if started.already_running:
            self.log.info("Iteration %s was running already: nothing to do.", self.iteration_id)
        else:
            self.log.info("Started iteration %s of %s.", self.iteration_id, self.experiment_key)
        output = self._describe(started.experiment, started.iteration, changed=not started.already_running)
        if self.emit_asset:
            emit_event(context, self.outlets, "start", output)
        return output

    def _may_have_started(self, context: Context) -> bool:
        """Whether an earlier try of this task may have started the iteration."""
        store = context.get("task_state_store")
        if store is None:
            return bool(context["ti"].try_number > 1)
        return bool(store.get(STARTING) == self.iteration_id)

    def _remember(self, context: Context) -> None:
        """Note, before it is asked for, that this task starts the iteration."""
        store = context.get("task_state_store")
        if store is not None and self.if_running == "refuse":
            store.set(STARTING, self.iteration_id)


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
        emit_asset: Emit an event on the experiment's asset (see ``assets``) whenever the task succeeds, also when a
            repeat finds its work done (``changed`` tells): ``ship``, ``rollback`` or ``inconclusive`` with the verdict,
            or ``stop`` where the winner was named.

    Returns:
        :class:`.StopOutput`, with ``changed`` False if the iteration was stopped with this winner already.
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
        emit_asset: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.emit_asset = emit_asset
        if emit_asset:
            self.outlets = [*self.outlets, EVERY_EXPERIMENT]
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
        output: StopOutput = {
            **self._describe(stopped.experiment, stopped.iteration, changed=not stopped.already_stopped),
            "winning_treatment_id": plan.winner.id or "",
            "winning_treatment": plan.winner.name,
            "winning_reason": stopped.iteration.winning_reason,
            "flag_key": plan.flag_key,
            "rule_id": plan.rule_id,
            "variation_id": plan.variation.id,
            "variation": plan.variation.value,
        }
        if self.emit_asset:
            verdict = self.winner if isinstance(self.winner, Mapping) else None
            emit_event(context, self.outlets, verdict["verdict"] if verdict else "stop", {**output, "verdict": verdict})
        return output

    def _announce(self, plan: StopPlan) -> None:
        self.log.info("%s", plan)
