"""Text in place of a number, a truth value or a list: it is read, or refused by name."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.config.durations import parse_duration
from airflow_provider_launchdarkly.config.problems import LONGEST_MESSAGE, InvalidSettingError
from airflow_provider_launchdarkly.config.rendered import correct_types
from airflow_provider_launchdarkly.decision.policy import Policy


@pytest.mark.parametrize("text", ["9" * 309, "9" * 4000, "9" * 5000, "1e400", "nan", "0x10", "[" * 100_000])
@pytest.mark.parametrize("field", ["alpha", "min_units_per_treatment"])
def test_text_that_is_no_number_is_refused_by_the_name_of_its_field(field: str, text: str) -> None:
    with pytest.raises(InvalidSettingError, match=f"{field}: write a (whole )?number"):
        correct_types({field: text}, Policy.from_json)


@pytest.mark.parametrize("text", ["9" * 5000, "9" * 5000 + "d"])
def test_a_long_text_does_not_hide_how_to_write_a_duration(text: str) -> None:
    with pytest.raises(ValueError, match=r"write for instance 7d|write a shorter duration") as refused:
        parse_duration(text)
    assert len(str(refused.value)) < LONGEST_MESSAGE
