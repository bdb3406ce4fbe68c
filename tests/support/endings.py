"""The endings that every rollout has; one whose winner ships through a release has another."""

from __future__ import annotations

from airflow_provider_launchdarkly.rollout.options import Ending

ENDINGS = tuple(ending for ending in Ending if ending is not Ending.REGRESSED)
