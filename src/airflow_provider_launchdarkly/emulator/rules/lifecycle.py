"""Create, start, stop and archive experiments by LaunchDarkly's rules.

An iteration goes from not started to running to stopped, never back. Starting it puts its rollout on the flag's rule.
Stopping it **sets that rule to the winner for everyone it matches** (LaunchDarkly docs, "Starting and stopping
experiment iterations").
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from airflow_provider_launchdarkly.emulator.errors import conflict, forbidden, invalid_request
from airflow_provider_launchdarkly.emulator.rules.targeting import (
    experiment_rollout,
    index_of,
    winning_index,
    with_config,
    with_serving,
)
from airflow_provider_launchdarkly.emulator.state.models import (
    Experiment,
    Iteration,
    IterationFlag,
    LayerSnapshot,
    Treatment,
)

if TYPE_CHECKING:
    from airflow_provider_launchdarkly.emulator.rules.experiment_inputs import (
        ExperimentPost,
        IterationInput,
        TreatmentInput,
    )
    from airflow_provider_launchdarkly.emulator.rules.request_body import RequestBody
    from airflow_provider_launchdarkly.emulator.state.flag_models import Flag
    from airflow_provider_launchdarkly.emulator.state.models import MetricUse
    from airflow_provider_launchdarkly.emulator.state.transaction import Transaction


STARTS_AND_STOPS = frozenset({"startIteration", "stopIteration", "saveAndStartNewIteration"})


def check_approval(transaction: Transaction, environment_key: str, body: RequestBody | None = None) -> None:
    """Raise a 403 for a change that needs an approval by the switches `experiment_approvals` and `…_of`.

    Args:
        transaction: The transaction.
        environment_key: The environment.
        body: The semantic patch; None for a creation.
    """
    settings = transaction.settings
    if settings.experiment_approvals_of == "starts_and_stops":
        kinds = set() if body is None else {kind for kind, _ in body.instructions()}
        if not kinds & STARTS_AND_STOPS:
            return
    if settings.experiment_approval(transaction.environment(environment_key)):
        raise forbidden("approval is required")


def create_experiment(transaction: Transaction, environment_key: str, post: ExperimentPost) -> Experiment:
    """Create an experiment with its first, unstarted iteration."""
    transaction.environment(environment_key)
    if any(e.key == post.key for e in transaction.experiments(environment_key)):
        raise conflict(f"an experiment with the key {post.key!r} already exists in environment {environment_key!r}")
    maintainer = post.maintainer_id or transaction.member_id
    if maintainer is None:
        raise invalid_request("maintainerId is required: a service token has no member to default to")
    check_member(transaction, maintainer)
    if post.type == "mab" and post.methodology != "bayesian":
        raise invalid_request("a multi-armed bandit only supports the methodology 'bayesian'")
    if post.type == "holdout":
        raise invalid_request("a holdout is created with the holdouts API")
    if post.holdout_id is not None:
        _check_joinable(transaction, environment_key, post.holdout_id)
    experiment_id = transaction.world.new_id("experiment")
    experiment = Experiment(
        id=experiment_id,
        key=post.key,
        name=post.name,
        environment_key=environment_key,
        maintainer_id=maintainer,
        created_at=transaction.now,
        iterations=(new_iteration(transaction, environment_key, post.iteration, number=1),),
        description=post.description,
        tags=tuple(dict.fromkeys(post.tags)),
        methodology=post.methodology,
        data_source=post.data_source,
        type=post.type,
        holdout_id=post.holdout_id,
        analysis_config=post.analysis_config,
    )
    transaction.put_experiment(experiment)
    _record(transaction, "experiment.created", experiment)
    _record(transaction, "iteration.created", experiment, experiment.iterations[0])
    return experiment


def create_iteration(transaction: Transaction, environment_key: str, key: str, wanted: IterationInput) -> Iteration:
    """Create the next, unstarted iteration.

    If the experiment already has an unstarted iteration, the switch `draft_over_draft` decides whether the new one
    replaces it or the request is rejected.
    """
    experiment = transaction.experiment(environment_key, key)
    waiting = experiment.unstarted
    if waiting is not None and transaction.settings.draft_over_draft == "refuse":
        raise invalid_request(f"experiment {key!r} already has an iteration that has not started")
    if wanted.flag.flag_key != experiment.iterations[0].flag.flag_key:
        raise invalid_request("an experiment cannot change its flag")
    kept = tuple(i for i in experiment.iterations if i is not waiting)
    iteration = new_iteration(transaction, environment_key, wanted, number=len(kept) + 1)
    changed = replace(experiment, iterations=(*kept, iteration))
    transaction.put_experiment(changed)
    if waiting is not None:
        _record(transaction, "iteration.discarded", changed, waiting)
    _record(transaction, "iteration.created", changed, iteration)
    return iteration


def start_iteration(transaction: Transaction, environment_key: str, key: str, justification: str | None) -> None:
    """Start the unstarted iteration, and end a running one without a winner.

    LaunchDarkly REST docs, Patch experiment, `startIteration`: the flag has to be on and not archived, the
    randomization unit has to be set, and a treatment needs a share above zero (implied by shares that add up to 100).
    Over a running iteration, `changeJustification` is required.
    """
    experiment = transaction.experiment(environment_key, key)
    iteration, running = experiment.unstarted, experiment.running
    if experiment.archived_at is not None:
        raise invalid_request(f"experiment {key!r} is archived and cannot start iterations")
    if iteration is None:
        raise invalid_request(f"experiment {key!r} has no iteration to start; create an iteration first")
    if running is not None and not justification:
        raise invalid_request("changeJustification is required when the experiment is already running")
    flag = transaction.flag(iteration.flag.flag_key)
    _check_startable(transaction, experiment, iteration, flag)
    started = replace(
        iteration,
        status="running",
        started_at=transaction.now,
        change_justification=justification,
        audience=_audience(transaction, experiment),
    )
    ended = {running.id: _ended(transaction, experiment, running)} if running is not None else {}
    changed = _with_iterations(experiment, {started.id: started, **ended})
    transaction.put_experiment(changed)
    for old in ended.values():
        _record(transaction, "iteration.stopped", changed, old, winner=None)
    _record(transaction, "iteration.started", changed, started)
    served = flag.configs[environment_key]
    if running is not None and running.flag.rule_id != started.flag.rule_id:
        served = with_serving(served, running.flag.rule_id, _outside(flag, running))
    served = with_serving(served, started.flag.rule_id, experiment_rollout(flag, started, key))
    store_config(transaction, flag, environment_key, with_config(flag, environment_key, served, transaction.now))


def stop_iteration(
    transaction: Transaction, environment_key: str, key: str, winner: str | None, reason: str | None
) -> None:
    """Stop the running iteration and serve its winner's variation to everyone that the rule matches."""
    experiment = transaction.experiment(environment_key, key)
    running = experiment.running
    if running is None:
        raise invalid_request(f"experiment {key!r} has no running iteration")
    if winner is None and transaction.settings.winner == "required":
        raise invalid_request("winningTreatmentId is required")
    if winner is not None and running.treatment(winner) is None:
        raise invalid_request(f"winningTreatmentId: the running iteration has no treatment {winner!r}")
    stopped = replace(_ended(transaction, experiment, running), winning_treatment_id=winner, winning_reason=reason)
    changed = _with_iterations(experiment, {stopped.id: stopped})
    transaction.put_experiment(changed)
    _record(transaction, "iteration.stopped", changed, stopped, winner=winner)
    flag = transaction.flag(stopped.flag.flag_key)
    config = flag.configs[environment_key]
    # Without a winner, which only a switch allows, the rule serves the variation for people outside the experiment.
    index = _outside(flag, stopped) if winner is None else winning_index(flag, stopped, winner)
    served = with_serving(config, stopped.flag.rule_id, index)
    store_config(transaction, flag, environment_key, with_config(flag, environment_key, served, transaction.now))


def archive(transaction: Transaction, environment_key: str, key: str) -> None:
    """Archive an experiment. A running one is rejected; LaunchDarkly does not document its behaviour."""
    experiment = transaction.experiment(environment_key, key)
    if experiment.running is not None:
        raise invalid_request(f"experiment {key!r} is running; stop it before archiving it")
    if experiment.archived_at is None:
        changed = replace(experiment, archived_at=transaction.now)
        transaction.put_experiment(changed)
        _record(transaction, "experiment.archived", changed)


def restore(transaction: Transaction, environment_key: str, key: str) -> None:
    """Restore an archived experiment."""
    experiment = transaction.experiment(environment_key, key)
    if experiment.archived_at is not None:
        changed = replace(experiment, archived_at=None)
        transaction.put_experiment(changed)
        _record(transaction, "experiment.restored", changed)


def save_and_start(
    transaction: Transaction, environment_key: str, key: str, wanted: IterationInput, justification: str | None
) -> None:
    """End the running iteration without a winner, and start another in the same step."""
    create_iteration(transaction, environment_key, key, wanted)
    start_iteration(transaction, environment_key, key, justification or "saveAndStartNewIteration")


def new_iteration(transaction: Transaction, environment_key: str, wanted: IterationInput, number: int) -> Iteration:
    """Return the requested iteration after checks against the flag, the metrics and the project's settings."""
    flag = _flag_for_iteration(transaction, environment_key, wanted)
    check_unit(transaction, wanted.randomization_unit)
    check_metrics(transaction, wanted.metrics, wanted.primary)
    treatments = tuple(_treatment(transaction, flag, item) for item in wanted.treatments)
    served = [treatment.parameters[0].variation_id for treatment in treatments]
    if len(set(served)) < len(served):
        raise invalid_request("treatments: two of them serve the same variation")
    control = next(t for t in treatments if t.baseline).parameters[0].variation_id
    return Iteration(
        id=transaction.world.new_id("iteration"),
        number=number,
        hypothesis=wanted.hypothesis,
        created_at=transaction.now,
        flag=IterationFlag(
            flag_key=flag.key,
            rule_id=wanted.flag.rule_id,
            config_version=wanted.flag.config_version,
            not_in_experiment_variation_id=wanted.flag.not_in_experiment_variation_id or control,
        ),
        treatments=treatments,
        metrics=wanted.metrics,
        primary=wanted.primary,
        can_reshuffle=wanted.can_reshuffle,
        randomization_unit=wanted.randomization_unit,
        attributes=tuple(dict.fromkeys(wanted.attributes)),
        covariate_id=wanted.covariate_id,
        reallocation_millis=wanted.reallocation_millis,
    )


def store_config(transaction: Transaction, before: Flag, environment_key: str, after: Flag) -> None:
    """Store a flag whose configuration in one environment changed, and record the change."""
    transaction.put_flag(after)
    transaction.record(
        "flag.changed",
        environment=environment_key,
        flag=after.key,
        from_version=before.configs[environment_key].version,
        version=after.configs[environment_key].version,
    )


def _flag_for_iteration(transaction: Transaction, environment_key: str, wanted: IterationInput) -> Flag:
    flag = transaction.project.flags.get(wanted.flag.flag_key)
    if flag is None:
        raise invalid_request(f"flags: there is no feature flag {wanted.flag.flag_key!r}")
    config = transaction.flag(flag.key).configs[environment_key]
    if config.serving_of(wanted.flag.rule_id) is None:
        raise invalid_request(f"flags.{flag.key}.ruleId: the flag has no rule {wanted.flag.rule_id!r}")
    if transaction.settings.flag_version != "never" and wanted.flag.config_version != config.version:
        raise conflict(
            f"flags.{flag.key}.flagConfigVersion is {wanted.flag.config_version}, the flag has version {config.version}"
        )
    outside = wanted.flag.not_in_experiment_variation_id
    if outside is not None and flag.index_of(outside) is None:
        raise invalid_request(f"flags.{flag.key}.notInExperimentVariationId: there is no variation {outside!r}")
    return flag


def record_flag_toggle(transaction: Transaction, environment_key: str, flag_key: str, *, on: bool) -> None:
    """Record in the iterations on a flag that it was turned on or off. While it is off, they get no people."""
    for experiment in transaction.experiments(environment_key):
        running = experiment.running
        if running is None or running.flag.flag_key != flag_key:
            continue
        if not on:
            off = (*running.off, (transaction.now, None))
        else:
            off = tuple((since, transaction.now if until is None else until) for since, until in running.off)
        transaction.put_experiment(_with_iterations(experiment, {running.id: replace(running, off=off)}))


def check_member(transaction: Transaction, member_id: str | None) -> None:
    """Raise a 400 for a maintainer that is not a member of the account."""
    if member_id not in transaction.world.members:
        raise invalid_request(f"maintainerId: there is no member {member_id!r}")


def check_unit(transaction: Transaction, unit: str) -> None:
    """Raise a 400 for a randomization unit that is not in the project's settings."""
    known = [known.key for known in transaction.randomization_units]
    if unit not in known:
        raise invalid_request(f'Randomization unit "{unit}" not found in project settings [{", ".join(known)}]')


def check_metrics(transaction: Transaction, metrics: tuple[MetricUse, ...], primary: MetricUse) -> None:
    """Raise a 400 for an unknown metric or group, or for a primary group that is not a funnel."""
    for use in metrics:
        known = transaction.project.metric_groups if use.is_group else transaction.project.metrics
        if use.key not in known:
            raise invalid_request(f"metrics: there is no metric{' group' if use.is_group else ''} {use.key!r}")
    if primary.is_group and transaction.project.metric_groups[primary.key].kind != "funnel":
        raise invalid_request(f"primaryFunnelKey: metric group {primary.key!r} is not a funnel")


def _treatment(transaction: Transaction, flag: Flag, wanted: TreatmentInput) -> Treatment:
    parameter = wanted.parameters[0]
    if parameter.flag_key != flag.key:
        raise invalid_request(f"treatments: {wanted.name!r} names flag {parameter.flag_key!r}, not {flag.key!r}")
    if flag.index_of(parameter.variation_id) is None:
        raise invalid_request(f"treatments: flag {flag.key!r} has no variation {parameter.variation_id!r}")
    own = transaction.settings.treatment_ids == "own"
    return Treatment(
        id=transaction.world.new_uuid("treatment") if own else parameter.variation_id,
        name=wanted.name,
        baseline=wanted.baseline,
        allocation_percent=wanted.allocation_percent,
        parameters=wanted.parameters,
    )


def _check_startable(transaction: Transaction, experiment: Experiment, iteration: Iteration, flag: Flag) -> None:
    config = flag.configs[experiment.environment_key]
    if flag.archived:
        raise invalid_request(f"flag {flag.key!r} is archived")
    if flag.purpose == "migration":
        raise invalid_request(f"flag {flag.key!r} is a migration flag")
    if not config.on:
        raise invalid_request(f"flag {flag.key!r} must be on in environment {experiment.environment_key!r}")
    if config.serving_of(iteration.flag.rule_id) is None:
        raise invalid_request(f"flag {flag.key!r} has no rule {iteration.flag.rule_id!r} any more")
    if transaction.settings.flag_version == "always" and config.version != iteration.flag.config_version:
        raise conflict(f"flag {flag.key!r} has changed since the iteration was created")
    layer = transaction.layer_of(experiment.environment_key, experiment.key)
    if layer is not None and layer.share_of(experiment.environment_key, experiment.key) == 0:
        raise invalid_request(f"experiment {experiment.key!r} has reserved 0 % of layer {layer.key!r}")
    owner = transaction.owner_of(experiment.environment_key, flag.key, iteration.flag.rule_id)
    if owner is not None and owner.key != experiment.key:
        raise conflict("the targeting rule is already used by a running experiment")
    if transaction.release_on(experiment.environment_key, flag.key, iteration.flag.rule_id) is not None:
        raise conflict("the targeting rule is already used by an active release")


def _check_joinable(transaction: Transaction, environment_key: str, holdout_id: str) -> None:
    holdout = next((h for h in transaction.holdouts(environment_key) if h.id == holdout_id), None)
    if holdout is None:
        raise invalid_request(f"holdoutId: there is no holdout {holdout_id!r} in environment {environment_key!r}")
    if holdout.ended:
        raise invalid_request(f"holdoutId: holdout {holdout.base.key!r} has ended")


def _audience(transaction: Transaction, experiment: Experiment) -> float:
    """Return the share of the rule's people that layer and holdout leave to the experiment, 0 to 1."""
    layer = transaction.layer_of(experiment.environment_key, experiment.key)
    share = 1.0 if layer is None else (layer.share_of(experiment.environment_key, experiment.key) or 0) / 100
    for holdout in transaction.holdouts(experiment.environment_key):
        if holdout.id == experiment.holdout_id and not holdout.ended:
            share *= 1 - float(holdout.amount) / 100
    return share


def _ended(transaction: Transaction, experiment: Experiment, running: Iteration) -> Iteration:
    """Return a running iteration as stopped now, with a snapshot of its layer."""
    environment_key, key = experiment.environment_key, experiment.key
    layer, snapshot = transaction.layer_of(environment_key, key), None
    if layer is not None:
        own = layer.share_of(environment_key, key) or 0
        others = sum(held.percent for held in layer.reservations[environment_key]) - own
        snapshot = LayerSnapshot(layer.key, layer.name, own, others)
    return replace(running, status="stopped", ended_at=transaction.now, layer_snapshot=snapshot)


def _outside(flag: Flag, iteration: Iteration) -> int:
    """Return the index of the variation for people outside the experiment."""
    return index_of(flag, iteration.flag.not_in_experiment_variation_id)


def _with_iterations(experiment: Experiment, changed: dict[str, Iteration]) -> Experiment:
    return replace(experiment, iterations=tuple(changed.get(i.id, i) for i in experiment.iterations))


def _record(
    transaction: Transaction, kind: str, experiment: Experiment, iteration: Iteration | None = None, **more: str | None
) -> None:
    ids = {"environment": experiment.environment_key, "experiment": experiment.key}
    if iteration is not None:
        ids["iteration"] = iteration.id
    transaction.record(kind, **ids, **more)
