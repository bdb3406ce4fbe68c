"""The types of fields that several models of a rollout have. Imports no Airflow."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from airflow_provider_launchdarkly.config.keys import check_key, check_text

Text = Annotated[str, Field(min_length=1), AfterValidator(check_text)]
Key = Annotated[str, Field(min_length=1), AfterValidator(check_key)]
