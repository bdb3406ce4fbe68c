"""How the rows differ from the ideal: late batches, repeated evaluations, crossovers, bots, and more."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow_provider_launchdarkly.emulator.fields import Fields
from airflow_provider_launchdarkly.emulator.state.clock import parse_duration

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOUR_MILLIS = 3_600_000


@dataclass(frozen=True, slots=True)
class WarehouseOptions:
    """How LaunchDarkly fills the warehouse. With the defaults, the tables agree with the results endpoint.

    Attributes:
        lag_millis: Time from the end of an hour until its batch is in the tables, in milliseconds.
        late_share: Share of the rows, 0 to 1, that come ``late_hours`` batches after their own.
        late_hours: See ``late_share``.
        evaluations: Mean number of evaluations for each person, at least 1.
        context_kinds: Rows of each event: one for the randomization unit, and one for each further context kind.
        crossovers: People who see two variations within an hour, as a share of the others. They come on top, and the
            results endpoint does not count them.
        returning: Share of an iteration's people, 0 to 1, who were in the one before, with any of its variations.
        early_events: Share of the people, 0 to 1, who have an event shortly before their first exposure.
        bots: People with the attribute ``"bot": true``, as a share of the others. They come on top, and neither
            convert nor count in the results endpoint.
        refresh_hours: Hours between two analyses of the results dataset.
        arm_ids: The value of ``arm_id``: the treatment's id, or that of its variation.
    """

    lag_millis: int = 0
    late_share: float = 0.0
    late_hours: int = 24
    evaluations: float = 2.0
    context_kinds: int = 2
    crossovers: float = 0.005
    returning: float = 0.2
    early_events: float = 0.02
    bots: float = 0.0
    refresh_hours: int = 1
    arm_ids: str = "treatment"

    @property
    def of_rows(self) -> tuple[float, ...]:
        """The options that decide about the rows. The lag decides only about when they come."""
        late = (self.late_share, self.late_hours if self.late_share else 0)
        more = (self.evaluations, self.context_kinds, self.crossovers, self.returning, self.early_events, self.bots)
        return (*late, *more)

    @property
    def of_results(self) -> str:
        """The options that decide about the results dataset."""
        return f"{self.lag_millis} {self.refresh_hours} {self.arm_ids}"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> WarehouseOptions:
        """Read the options from plain data, such as ``{"lag": "PT20M", "crossovers": 0.01}``.

        Args:
            data: The attributes by name; ``lag`` and ``refresh`` are ISO 8601 durations, ``late`` a delay of a share of
                the rows in hours (``late_hours``).

        Raises:
            ValueError: An option is unknown or wrong. The message names it, the value and the cure.
        """
        fields = Fields(data, "warehouse")
        arm_ids = fields.text("arm_ids") or "treatment"
        if arm_ids not in ("treatment", "variation"):
            raise ValueError(f"warehouse.arm_ids: {arm_ids!r} is not one of treatment, variation")
        usual = cls()
        options = cls(
            lag_millis=_millis(fields, "lag", 0),
            late_share=fields.number("late_share", usual.late_share, low=0, high=1),
            late_hours=int(fields.number("late_hours", usual.late_hours, low=1, high=24 * 90)),
            evaluations=fields.number("evaluations", usual.evaluations, low=1, high=100),
            context_kinds=int(fields.number("context_kinds", usual.context_kinds, low=1, high=20)),
            crossovers=fields.number("crossovers", usual.crossovers, low=0, high=1),
            returning=fields.number("returning", usual.returning, low=0, high=1),
            early_events=fields.number("early_events", usual.early_events, low=0, high=1),
            bots=fields.number("bots", usual.bots, low=0, high=1),
            refresh_hours=max(1, _millis(fields, "refresh", _HOUR_MILLIS) // _HOUR_MILLIS),
            arm_ids=arm_ids,
        )
        fields.finish()
        return options


def _millis(fields: Fields, name: str, default: int) -> int:
    text = fields.text(name)
    if text is None:
        return default
    try:
        return int(parse_duration(text).total_seconds() * 1000)
    except ValueError as error:
        raise ValueError(f"{fields.path}.{name}: {error}") from None
