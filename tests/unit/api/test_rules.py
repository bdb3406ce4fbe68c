"""A flag's rule is found by its id or by its description, in the environment that was read."""

from __future__ import annotations

import pytest

from airflow_provider_launchdarkly.api.errors import ConfigurationError
from airflow_provider_launchdarkly.api.models import FeatureFlag
from airflow_provider_launchdarkly.api.variations import find_rule_id

FLAG = FeatureFlag.model_validate(
    {
        "key": "pricing-page",
        "variations": [],
        "environments": {
            "test": {
                "rules": [
                    {"_id": "one", "description": "Beta users"},
                    {"_id": "two", "description": "Visitors"},
                    {"_id": "three", "description": "Visitors"},
                    {"_id": "four"},
                ]
            }
        },
    }
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("one", "one"), ("Beta users", "one"), ("four", "four"), ("fallthrough", "fallthrough"), ("other", "other")],
)
def test_a_rule_is_found_by_its_id_or_its_description(wanted: str, found: str) -> None:
    assert find_rule_id(FLAG, wanted) == found


def test_a_description_of_several_rules_names_none() -> None:
    with pytest.raises(ConfigurationError, match="'Visitors' is the description of 2 rules of flag 'pricing-page'"):
        find_rule_id(FLAG, "Visitors")


def test_a_text_that_is_no_id_and_no_description_is_told_with_what_there_is() -> None:
    with pytest.raises(ConfigurationError, match="no rule 'Gamma users'; it has 'Beta users', 'Visitors'"):
        find_rule_id(FLAG, "Gamma users")
