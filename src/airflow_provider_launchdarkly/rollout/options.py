"""The closed sets of a rollout: its gates, endings, and the options that people choose from."""

from __future__ import annotations

from enum import StrEnum


class Ending(StrEnum):
    """The endings of a rollout: every kind of verdict except ``wait``, ``refused`` and ``regressed``."""

    SHIP = "ship"
    ROLLBACK = "rollback"
    INCONCLUSIVE = "inconclusive"
    REFUSED = "refused"
    """A person rejected the next stage or the shipping, or nobody answered in time."""

    INVALID = "invalid"

    REGRESSED = "regressed"
    """The release of the winner went back to the baseline. Only where `endings.ship` asks for a release."""


class HealthCheckKind(StrEnum):
    """The checks that LaunchDarkly makes before a release starts."""

    FLAG_EVALUATIONS_ANY = "flag_evaluations_any"
    FLAG_EVALUATIONS_WITH_CONTEXT = "flag_evaluations_with_context"
    METRIC_EVENTS_ANY = "metric_events_any"
    METRIC_EVENTS_WITH_CONTEXT = "metric_events_with_context"


class ReleaseKind(StrEnum):
    """The kind of release through which a winner reaches everyone."""

    GUARDED = "guarded"
    """LaunchDarkly compares metrics at each step; a regression goes back to the baseline. On select plans only."""

    PROGRESSIVE = "progressive"
    """The steps alone. Nothing is compared."""

    GUARDED_OR_PROGRESSIVE = "guarded_or_progressive"
    """Guarded; where LaunchDarkly refuses to guard it, progressive with the same steps."""


class RetireMode(StrEnum):
    """What is done with a flag that has done its work."""

    PROPOSE = "propose"
    """Write nothing, and return the text of a pull request that removes the flag from the code."""

    ARCHIVE = "archive"
    """Archive the flag and its experiments."""


class ApprovalOption(StrEnum):
    """The options of an approval, as Airflow shows them."""

    APPROVE = "Approve"
    REJECT = "Reject"


class InconclusiveOption(StrEnum):
    """The ways to deal with an experiment whose plan ended without a winner, as Airflow shows them."""

    TO_BASELINE = "Stop on the baseline"
    EXTEND = "Extend"
    LEAVE = "Leave it running"


class Gate(StrEnum):
    """The condition for going on from a stage to the next one."""

    GUARDRAILS = "guardrails"
    """The dwell time is over, no guardrail and not the primary metric is harmed, and the split is as allocated."""

    DECISION = "decision"
    """The whole policy: ship and rollback end the rollout; without a winner at its end the next stage follows."""

    NONE = "none"
    """The dwell time is over. Nothing is judged."""


class Inconclusive(StrEnum):
    """The action when the plan ends without a winner."""

    BASELINE = "baseline"
    """Stop on the baseline."""

    EXTEND = "extend"
    """Extend the last stage once, by `Endings.extension`, then stop on the baseline."""

    ASK = "ask"
    """Ask a person: stop on the baseline, extend, or leave it running."""


class Fallback(StrEnum):
    """The action when a person rejects, or nobody answers in time. Nothing is ever shipped by default."""

    HOLD = "hold"
    """The rollout ends and leaves the experiment as it is, for a person to take over."""

    BASELINE = "baseline"
    """Stop on the baseline."""


class Autonomy(StrEnum):
    """The degree to which a rollout acts without asking."""

    OBSERVE = "observe"
    """Judge, and log each request without sending it. Nothing changes in LaunchDarkly."""

    RECOMMEND = "recommend"
    """Ask before each start and before shipping. Roll back without asking."""

    ACT = "act"
    """Ask only where a stage or the approval settings require it."""


class OnKill(StrEnum):
    """The action on the experiment when a person marks the rollout failed while it waits and watches."""

    LEAVE = "leave"
    """Leave the experiment running."""

    ROLLBACK = "rollback"
    """Stop the experiment on the baseline. Needs Airflow 3.3."""


class IfRunning(StrEnum):
    """The action of a run that finds the first stage's iteration already started by another run."""

    ADOPT = "adopt"
    """Wait for the same iteration, and repeat no write."""

    REFUSE = "refuse"
    """Fail, and change nothing."""
