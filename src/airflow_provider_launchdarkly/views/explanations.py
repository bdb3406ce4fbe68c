"""An experiment in sentences: why it stands where it stands, what follows, what each ending would take, and its policy.

The one place where these sentences are made, for pages, terminal and reports. They hold no instant: those are beside
them, for the reader's own zone.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, assert_never

from airflow_provider_launchdarkly.config.percent import format_percent
from airflow_provider_launchdarkly.decision.policy_parts import (
    AtDeadline,
    MismatchAction,
    MissingAction,
    Rule,
    ShipIf,
    Test,
)
from airflow_provider_launchdarkly.decision.verdict import Reason
from airflow_provider_launchdarkly.views.model import State
from airflow_provider_launchdarkly.views.reading import RELEASE_GATE
from airflow_provider_launchdarkly.views.winner_release import follows_in, metrics_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from airflow_provider_launchdarkly.decision.policy import Policy
    from airflow_provider_launchdarkly.decision.policy_parts import Looks, Primary, ReleaseGuardrail
    from airflow_provider_launchdarkly.views.model import Comparison, ExperimentSummary, Look, MetricAtLook, Stage

_DAY = timedelta(days=1)

# What a stage judges, as a rollout names it.
GUARDRAILS, NOTHING_JUDGED = "guardrails", "none"

# What follows from the numbers of the treatment that is nearest to a ship; for other reasons the summary says it all.
_SO: Mapping[str, str] = {
    Reason.NOT_SIGNIFICANT: "that is not beyond chance yet",
    Reason.MIN_DURATION: "nothing ships this early",
    Reason.BETTER: "that is beyond chance",
    Reason.NOT_WORSE: "that is within what may be lost",
    Reason.PLAN_ENDED: "the plan ended without a winner",
    Reason.FUTILE: "no treatment is likely to win by the plan's end",
}
_HARMED = frozenset({Reason.GUARDRAIL_HARMED, Reason.PRIMARY_HARMED})
_PLAIN: Mapping[str, str] = {
    Reason.BETWEEN_LOOKS: "No look is due yet.",
    Reason.AWAITING_DATA: "A look is due, and its data have not arrived yet.",
}


def in_words(duration: timedelta) -> str:
    """Return a duration such as ``28 days``, ``36 hours`` or ``90 minutes``: the largest unit that is exact."""
    for unit, name in ((_DAY, "day"), (timedelta(hours=1), "hour"), (timedelta(minutes=1), "minute")):
        if duration >= unit and not duration % unit:
            count = duration // unit
            return f"{count} {name}" if count == 1 else f"{count} {name}s"
    return f"{duration.total_seconds():g} seconds"


def why_it_stands(found: ExperimentSummary, look: Look | None, *, poll: str = "", ended: str = "") -> str:
    """Return why an experiment stands where it stands.

    Args:
        found: The experiment.
        look: Its newest planned look; None before the first.
        poll: What the newest poll found, in a line.
        ended: Why it was stopped, as the task that stopped it says.
    """
    if found.release is not None and found.release.winner is not None:
        return f"{sentence(found.headline)} {metrics_in_words(found.release)}".strip()
    if found.state is State.WAITING:
        return _why_waiting(found, look, poll)
    judged = why(look) if look else ""
    if found.state is State.NEEDS_YOU:
        return f"{_for_whom(found)} {judged}".strip()
    if found.state is State.AWAITING_WINDOW:
        return f"{sentence(found.headline)} {judged}".strip()
    if found.state.finished:
        # An ending that nothing judged has the reason of whoever stopped it.
        return f"{sentence(found.headline)} {judged if look and look.verdict != 'wait' else sentence(ended)}".strip()
    return sentence(found.headline)


def what_follows(
    found: ExperimentSummary, look: Look | None, policy: Policy | None, *, window: str = "", afterwards: str = ""
) -> tuple[str, ...]:
    """Return what would have to happen for each way on, a sentence each.

    Args:
        found: The experiment.
        look: Its newest planned look.
        policy: The policy of the task that watches; None if nothing is judged, or it cannot be read.
        window: The rollout's change window in words; empty without one.
        afterwards: What the rollout does with the flag after the end, in words; empty if it leaves it alone.
    """
    if in_launchdarkly := _follows_in_launchdarkly(found):
        return in_launchdarkly
    if found.state is State.WAITING:
        return (*_stage_to_come(found, look, policy), *_next_stage(found, window))
    if found.question is not None:
        asked = found.question
        otherwise = f" Without an answer in time, {asked.otherwise} counts." if asked.otherwise else ""
        return (f"A person answers: {', '.join(asked.options)}.{otherwise}",)
    if found.state is State.AWAITING_WINDOW:
        return ("The change window opens; then the results are judged again.",)
    if found.state.finished and afterwards:
        return (f"Afterwards: {afterwards}.",)
    return (sentence(found.unwatched.cure),) if found.unwatched else ()


def why(look: Look) -> str:
    """Return why the newest look ended, or did not end, the waiting: one sentence with the numbers that decide.

    Args:
        look: The newest look, or an ending without one.
    """
    if look.only_harm and look.reason == Reason.BETWEEN_LOOKS:
        return f"No {'other ' if _silent(look) else ''}metric is harmed; the next planned look decides.{_silent(look)}"
    if look.reason in _HARMED:
        return _harmed(look) or _of_summary(look.summary)
    if look.reason in _SO:
        return _leading(look, _SO[look.reason])
    return _PLAIN.get(look.reason) or _of_summary(look.summary)


def to_come(policy: Policy, look: Look | None) -> tuple[str, ...]:
    """Return what would have to happen for each ending, a sentence each.

    Args:
        policy: The policy.
        look: The newest planned look; None before the first.
    """
    return tuple(_to_come(policy, look))


def policy_in_words(policy: Policy, look: Look | None = None) -> tuple[str, ...]:
    """Return how an experiment is decided, a sentence each: the claim, the errors, the times, harm, the checks.

    Args:
        policy: The policy.
        look: Any look, which knows the key of the experiment's own primary metric.
    """
    return tuple(_policy(policy, look))


def nearest(metric: MetricAtLook) -> Comparison | None:
    """Return the treatment that is closest to shipping on a metric; None where none has data."""
    known = [compared for compared in metric.comparisons if compared.z is not None]
    return max(known, key=lambda compared: compared.z or 0.0, default=None)


def _silent(look: Look) -> str:
    """Return, after a blank, which guardrails show neither harm nor safety; nothing if all show something."""
    silent = [
        metric.metric
        for metric in look.metrics
        if metric.role == "guardrail" and any(part.units for part in metric.comparisons) and not nearest(metric)
    ]
    return f" Nothing is known of {', '.join(silent)}: the same for every unit." if silent else ""


def sentence(words: str) -> str:
    """Return words as a sentence; nothing from nothing."""
    if not words:
        return ""
    end = "" if words[-1] in ".!?" else "."
    return f"{words[0].upper()}{words[1:]}{end}"


def _of_summary(summary: str) -> str:
    """Return a verdict's summary as a sentence, without the look and the verdict that stand beside it anyway."""
    text = summary.partition(": ")[2] or summary
    return sentence(text.removesuffix(": wait").strip())


def _for_whom(found: ExperimentSummary) -> str:
    if found.handed_over is None:
        return "It waits for a person's answer."
    waits = f"It waits for a person, who has to {found.handed_over.what} in LaunchDarkly"
    no_request = "" if found.handed_over.requested else ", and its API takes no request for that"
    return f"{waits}: LaunchDarkly demands an approval{no_request}."


def _follows_in_launchdarkly(found: ExperimentSummary) -> tuple[str, ...]:
    """Return what would have to happen there: to a change that was handed over, or in the release of the winner."""
    if found.handed_over is not None and found.state is State.NEEDS_YOU:
        return tuple(found.handed_over.follows())
    if found.release is not None and found.release.winner is not None and found.unwatched is None:
        return tuple(follows_in(found.release))
    return ()


def _why_waiting(found: ExperimentSummary, look: Look | None, poll: str) -> str:
    if look is None:
        return sentence(poll or found.headline)
    harmed = any(metric.harmed for metric in look.metrics)
    guarded = any(metric.role == "guardrail" and nearest(metric) for metric in look.metrics)
    parts = (
        "This stage runs its full time, to watch for harm." if _gate(found) == GUARDRAILS else "",
        why(look),
        "No guardrail is harmed." if guarded and not harmed else "",
        _silent(look).strip(),
    )
    return " ".join(part for part in parts if part)


def _stage(found: ExperimentSummary, further: int = 0) -> Stage | None:
    """Return the current stage, or one after it; None if there is none."""
    number = (found.stage or 0) + further
    return next((stage for stage in found.stages if stage.number == number and found.stage), None)


def _gate(found: ExperimentSummary) -> str | None:
    stage = _stage(found)
    return stage.gate if stage else None


def _stage_to_come(found: ExperimentSummary, look: Look | None, policy: Policy | None) -> Iterator[str]:
    """Yield what would end the current stage."""
    if policy is None:
        if _gate(found) == NOTHING_JUDGED:
            yield "Nothing is judged in this stage: it ends when its time is over."
        return
    if _gate(found) != GUARDRAILS:
        yield from _to_come(policy, look)
        return
    yield f"Nothing ships in this stage, which ends on {_on(policy.max_duration)}."
    yield from _rolls_back(policy, look)
    yield from _is_invalid(policy)


def _next_stage(found: ExperimentSummary, window: str) -> Iterator[str]:
    """Yield what follows the current stage, if another one does."""
    following = _stage(found, 1)
    if following is None or following.gate == RELEASE_GATE:
        return
    first = [
        *(["a person has approved it"] if following.asks else []),
        *([f"the change window is open ({window})"] if window else []),
    ]
    once = f", once {' and '.join(first)}" if first else ""
    yield f"When this stage ends and nothing is harmed, {following.name} follows{once}."


def _leading(look: Look, so: str) -> str:
    metric = look.primary
    compared = nearest(metric) if metric else None
    if metric is None or compared is None or compared.lift is None:
        return _of_summary(look.summary)
    good = compared.lift if metric.direction != "lower" else -compared.lift
    than = "better" if good > 0 else "worse" if good < 0 else "different"
    amount = format_percent(abs(compared.lift)).lstrip("+")
    text = f"{compared.treatment} is {amount} {than} than the baseline on {metric.metric}, and {so}"
    if compared.z is None or compared.boundary is None:
        return f"{text}."
    needs = "was needed" if look.verdict != "wait" else "is needed"
    return f"{text}: z is {compared.z:.2f}, and {compared.boundary:.2f} {needs}."


def _harmed(look: Look) -> str:
    found = [(metric, compared) for metric in look.metrics for compared in metric.comparisons if compared.harmed]
    parts = []
    for metric, compared in found:
        lost = "" if compared.lift is None else f" by {format_percent(abs(compared.lift)).lstrip('+')}"
        may = f", and {_share(metric.margin)} may be lost" if metric.margin else ""
        parts.append(f"{compared.treatment} makes {metric.metric} worse{lost}{may}")
    return f"{'; '.join(parts)}. That is beyond chance." if parts else ""


def _to_come(policy: Policy, look: Look | None) -> Iterator[str]:
    first = f" from {_on(policy.min_duration)} on" if policy.min_duration > timedelta() else ""
    match policy.rule:
        case Rule.GROUP_SEQUENTIAL:
            yield f"Ships{first} if a treatment is {_claims(policy, look)}.{_latest(look)}"
        case Rule.PROBABILITY_TO_BE_BEST:
            likely = f"probability to be best is {_share(policy.threshold)} or more"
            yield f"Ships{first} if a treatment's {likely}. Rolls back if the baseline's {likely}."
        case _:
            assert_never(policy.rule)
    proven = [f"{part.metric} ({_share(part.margin)})" for part in policy.guardrails if part.prove]
    if proven:
        yield f"Before that, it must be shown to lose no more than allowed on {_list(proven, 'and')}."
    yield from _rolls_back(policy, look)
    if policy.futility is not None and policy.rule is Rule.GROUP_SEQUENTIAL:
        limit = policy.futility.predictive_power or policy.futility.conditional_power or 0.0
        yield f"Ends early without a winner if the chance to ship by the plan's end falls below {_share(limit)}."
    yield f"Ends without a winner on {_end(policy)}, if nothing has shipped by then."
    yield from _is_invalid(policy)


def _rolls_back(policy: Policy, look: Look | None) -> Iterator[str]:
    watched = [
        f"{part.metric} (by more than {_share(part.margin)})" if part.margin else part.metric
        for part in policy.guardrails
    ]
    watched += [f"a metric of {_release(part)}" for part in policy.release_guardrails]
    if policy.rule is Rule.GROUP_SEQUENTIAL:
        watched = [*(_named(part, look) for part in policy.primaries), *watched]
    if watched:
        yield f"Rolls back at once if {_list(watched, 'or')} gets worse beyond chance, however early."


def _release(part: ReleaseGuardrail) -> str:
    return f"release {part.release} of {part.flag}" if part.release else f"the release of {part.flag}"


def _is_invalid(policy: Policy) -> Iterator[str]:
    if policy.mismatch.action is MismatchAction.STOP:
        yield "Is called invalid if people are not divided as allocated."


def _latest(look: Look | None) -> str:
    """Return how far the nearest treatment was at the latest look, as a further sentence."""
    metric = look.primary if look else None
    compared = nearest(metric) if metric else None
    if compared is None or compared.boundary is None or compared.z is None:
        return ""
    return (
        f" At the latest look that took a z of {compared.boundary:.2f}, and {compared.treatment} had {compared.z:.2f}."
    )


def _policy(policy: Policy, look: Look | None) -> Iterator[str]:
    match policy.rule:
        case Rule.GROUP_SEQUENTIAL:
            useless = f"lose {_share(policy.primary.margin)}" if policy.primary.margin else "change nothing"
            yield f"A treatment ships if it is {_claims(policy, look)}."
            yield f"Of experiments that {useless}, at most {_share(policy.alpha)} ship, over all looks and treatments."
            yield f"Of harmless ones, at most {_share(policy.alpha_harm)} are rolled back, over all looks and metrics."
        case Rule.PROBABILITY_TO_BE_BEST:
            best = (
                f"A treatment ships if its probability to be best is {_share(policy.threshold)} or more, at any look."
            )
            yield f"{best} This rule holds no error rate."
        case _:
            assert_never(policy.rule)
    yield f"Looks are taken {_looks(policy.looks)}. {_span(policy)}"
    if policy.harm_looks is not None:
        yield f"Between them, harm is judged every {in_words(policy.harm_looks)}."
    for part in policy.guardrails:
        loss = f"lose more than {_share(part.margin)}" if part.margin else "get worse"
        proof = ", and must be shown not to before anything ships" if part.prove else ""
        yield f"Guardrail {part.metric} must not {loss}{proof}."
    for release in policy.release_guardrails:
        judged = f"LaunchDarkly judges the metrics of {_release(release)}"
        yield f"{judged}: one that regresses rolls back, and without a state of each nothing ships."
    for signal in policy.signals:
        yield f"Nothing ships while {signal.metric} points the wrong way."
    yield f"Each treatment needs {policy.min_units_per_treatment:,} units. {_missing(policy)}"
    if policy.burn_in:
        yield f"Units of the first {in_words(policy.burn_in)} do not count."
    if policy.maturity:
        yield f"Units of the last {in_words(policy.maturity)} before a look do not count yet."
    if policy.portfolio is not None:
        yield f"Its error is a share of portfolio {policy.portfolio.name}."


def _claims(policy: Policy, look: Look | None) -> str:
    if not policy.other_primaries:
        return _claim(policy.primary, f" on {_named(policy.primary, look)}")
    how = "any" if policy.ship_if is ShipIf.ANY else "each"
    names = [_named(part, look) for part in policy.primaries]
    return _claim(policy.primary, f" on {how} of {_list(names, 'and')}")


def _claim(primary: Primary, where: str) -> str:
    match primary.test:
        case Test.SUPERIORITY:
            return f"better than the baseline{where}"
        case Test.NON_INFERIORITY:
            return f"not worse than the baseline{where} by more than {_share(primary.margin)}"
        case _:
            assert_never(primary.test)


def _named(primary: Primary, look: Look | None) -> str:
    """Return the key of a primary metric; the experiment's own one is known from a look."""
    known = look.primary if look else None
    return primary.metric or (known.metric if known else "the primary metric")


def _looks(looks: Looks) -> str:
    late = ""
    if looks.on_data is not None:
        match looks.on_data.otherwise:
            case AtDeadline.TAKE:
                otherwise = "then it is taken on what there is"
            case AtDeadline.SKIP:
                otherwise = "then it is left out"
            case AtDeadline.FAIL:
                otherwise = "then the task fails"
            case _:
                assert_never(looks.on_data.otherwise)
        late = f", once the data are there, at most {in_words(looks.on_data.deadline)} late; {otherwise}"
    if looks.only_at_end:
        return f"once, at the end{late}"
    if looks.every is not None:
        return f"{'daily' if looks.every == _DAY else f'every {in_words(looks.every)}'}{late}"
    if looks.cron is not None:
        return f"at {looks.cron} ({looks.timezone}){late}"
    return f"after {_list([in_words(time) for time in looks.times], 'and')}{late}"


def _span(policy: Policy) -> str:
    end = f"the plan ends on {_end(policy)}"
    if policy.min_duration > timedelta():
        return f"Nothing ships before {_on(policy.min_duration)}, and {end}."
    return f"{end[:1].upper()}{end[1:]}."


def _missing(policy: Policy) -> str:
    grace = in_words(policy.missing.grace)
    match policy.missing.action:
        case MissingAction.HOLD:
            return f"Counts that stand still for {in_words(policy.missing.stale_after)} hold the decision."
        case MissingAction.INVALID:
            return f"Without data after {grace}, it is called invalid."
        case _:
            assert_never(policy.missing.action)


def _end(policy: Policy) -> str:
    units = "" if policy.planned_units is None else f", or at {policy.planned_units:,} units"
    return f"{_on(policy.max_duration)}{units}"


def _on(duration: timedelta) -> str:
    return f"day {duration / _DAY:g}"


def _share(value: float) -> str:
    return f"{100 * value:.4g} %"


def _list(names: Sequence[str], word: str) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
