"""Writes a commented rollout file from an experiment that exists. Pure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.api.errors import StateError
from airflow_provider_launchdarkly.rollout.drift import latest_iteration
from airflow_provider_launchdarkly.rollout.files import Broken, read_text
from airflow_provider_launchdarkly.rollout.loadable import name_from

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_launchdarkly.api.http.request import EnvironmentRef
    from airflow_provider_launchdarkly.api.models import Experiment, FeatureFlag, Iteration, Treatment


NO_HYPOTHESIS = "Write the hypothesis here, in a sentence."

# Characters that YAML takes only as escapes, and those that end a line in some readers.
_NOT_PRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")


def flag_of(experiment: Experiment) -> str:
    """Return the key of the flag of an experiment's latest iteration.

    Raises:
        StateError: The experiment has no iteration, or one on several flags.
    """
    iteration = latest_iteration(experiment)
    flags = list(iteration.flags) if iteration else []
    if len(flags) != 1:
        raise StateError(f"experiment {experiment.key!r} runs on {len(flags)} flags; a rollout needs exactly one")
    return flags[0]


def initial_file(env: EnvironmentRef, experiment: Experiment, flag: FeatureFlag) -> str:
    """Return the file: the experiment, its latest iteration as the only stage, and comments on the other fields.

    Args:
        env: The experiment's project and environment.
        experiment: Read with its iterations and treatments.
        flag: The experiment's flag.

    Returns:
        YAML that ``plan`` finds equal to the experiment.

    Raises:
        StateError: The experiment has no iteration with treatments, or is one that no rollout can be.
    """
    iteration = latest_iteration(experiment)
    if iteration is None or not iteration.treatments:
        raise StateError(f"experiment {experiment.key!r} has no iteration with treatments")
    text = "\n".join(_lines(env, experiment, iteration, flag)) + "\n"
    (found,) = read_text(text, Path("the file"))
    if isinstance(found, Broken):
        problems = "; ".join(f"{problem.field}: {problem.message}" for problem in found.problems)
        raise StateError(f"experiment {experiment.key!r} cannot be a rollout as it is: {problems}")
    return text


def _lines(env: EnvironmentRef, experiment: Experiment, iteration: Iteration, flag: FeatureFlag) -> Iterator[str]:
    project, environment = env
    yield f"# Made from experiment {_quoted(experiment.key)} in {project}/{environment} by `airflow-launchdarkly init`."
    yield "# Edit the policy and the stages; `airflow-launchdarkly validate` checks the file."
    yield "rollouts:"
    yield f"  {_quoted(name_from(experiment.key))}:"
    yield f"    project: {_quoted(project)}"
    yield f"    environment: {_quoted(environment)}"
    yield from _experiment(experiment, iteration, flag)
    yield "    # Each stage is a separate iteration whose data begin at zero. Before the last one you can put:"
    yield "    #   - {allocation: 10, dwell: 2d, gate: guardrails}"
    yield "    # allocation: percent of people who are served something new; or of each treatment, as here."
    yield "    stages:"
    shares = ", ".join(
        f"{_key(_label(treatment, flag))}: {treatment.allocation_percent or 0}" for treatment in iteration.treatments
    )
    yield f"      - allocation: {{{shares}}}"
    yield "        gate: decision  # the last stage is where the policy decides"
    if iteration.can_reshuffle_traffic is not False:
        yield "    # True: a new stage reassigns people, as this iteration does."
        yield "    reshuffle: true"
    yield "    policy:"
    yield "      preset: balanced  # ships what is better; 5 % one-sided over all looks"
    yield "      min_duration: 7d  # whole weeks, so that weekdays weigh equally"
    yield "      max_duration: 28d"
    yield from _guardrails(iteration)
    yield "    # endings:"
    yield "    #   inconclusive: baseline              # or extend, or ask"
    yield "    #   retire: {mode: propose, served_for: 30d}  # or archive, once everyone has got the same for 30d"
    yield "    # approval: {before_ship: true}         # a person is asked in Airflow before the winner is shipped"
    yield "    # launchdarkly_approval: {reviewers: [grace@example.com]}  # where LaunchDarkly demands approvals"
    yield "    # change_window: {timezone: Europe/Berlin, hours: 09:00-17:00, weekdays: [mon, tue, wed, thu]}"
    yield "    # autonomy: act                         # or observe (only logs), or recommend (asks)"
    yield "    # dag: {schedule: null, owner: growth, retries: 3}"


def _experiment(experiment: Experiment, iteration: Iteration, flag: FeatureFlag) -> Iterator[str]:
    on_flag = iteration.flags.get(flag.key)
    left_out = on_flag.not_in_experiment_variation_id if on_flag else None
    fields: dict[str, Any] = {
        "key": experiment.key,
        "name": experiment.name,
        "description": experiment.description,
        "maintainer_id": experiment.maintainer_id,
        "methodology": experiment.methodology,
        "holdout_id": experiment.holdout_id,
        "tags": list(experiment.tags),
        "flag": flag.key,
        "rule": (on_flag.targeting_rule if on_flag else "") or "fallthrough",
        "hypothesis": iteration.hypothesis if (iteration.hypothesis or "").strip() else NO_HYPOTHESIS,
        "randomization_unit": iteration.randomization_unit,
        "attributes": list(iteration.attributes),
        "not_in_experiment_variation": left_out,
        "primary_metric": iteration.primary_single_metric.key if iteration.primary_single_metric else None,
        "primary_funnel": iteration.primary_funnel.key if iteration.primary_funnel else None,
    }
    if not fields["primary_metric"] and not fields["primary_funnel"] and iteration.primary:
        fields["primary_metric"] = iteration.primary.key
    yield "    experiment:"
    for name, value in fields.items():
        if value not in (None, []) and str(value).strip():
            yield f"      {name}: {_quoted(value)}"
    primary = iteration.primary.key if iteration.primary else None
    others = [metric for metric in iteration.measured if metric.key != primary]
    if others:
        yield "      metrics:"
    for metric in others:
        yield f"        - {_quoted({'key': metric.key, 'is_group': True} if metric.is_group else metric.key)}"
    yield "      treatments:"
    for treatment in iteration.treatments:
        yield f"        - variation: {_quoted(_variation(treatment, flag))}"
        yield f"          name: {_quoted(_label(treatment, flag))}"
        if treatment.baseline:
            yield "          baseline: true"


def _guardrails(iteration: Iteration) -> Iterator[str]:
    primary = iteration.primary.key if iteration.primary else None
    others = [metric.key for metric in iteration.measured if metric.key != primary and not metric.is_group]
    yield "      # Metrics that must not get worse; margin is the share of the mean that may be lost."
    if not others:
        yield "      # guardrails: [{metric: page-load-ms, margin: 0.02}]"
        return
    yield "      # guardrails:"
    for key in others:
        yield f"      #   - {{metric: {_quoted(key)}, margin: 0.02}}"


def _variation(treatment: Treatment, flag: FeatureFlag) -> str:
    """Return the name of the flag's variation if it is unique, else its id."""
    variation_id = treatment.variation_of(flag.key)
    found = next((variation for variation in flag.variations if variation.id == variation_id), None)
    names = [variation.name for variation in flag.variations]
    if found is not None and found.name and names.count(found.name) == 1:
        return found.name
    return variation_id or ""


def _label(treatment: Treatment, flag: FeatureFlag) -> str:
    return treatment.name or _variation(treatment, flag)


def _key(text: str) -> str:
    """Return a text as a key; YAML marks those of more than 1024 characters."""
    key = _quoted(text)
    return key if len(key) < 1000 else f"? {key} "


def _quoted(value: Any) -> str:
    """Return a value as YAML: JSON is YAML, and plain words need no quotes."""
    plain = isinstance(value, str) and value[:1].isalpha() and value.replace("-", "").replace("_", "").isalnum()
    if plain and value.isascii() and value not in {"true", "false", "null"}:
        return str(value)
    # YAML takes JSON's escapes of single characters, and no pair of surrogates.
    return _NOT_PRINTABLE.sub(lambda found: f"\\U{ord(found[0]):08x}", json.dumps(value, ensure_ascii=False))
