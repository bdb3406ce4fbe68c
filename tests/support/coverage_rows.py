"""The rows of docs/coverage.md: LaunchDarkly's API, and the call of the hook for each endpoint.

The tests run every call of this table both ways. `coverage_table.py` writes the page.
"""

from __future__ import annotations

from support.coverage_experiments import EXPERIMENTS
from support.coverage_releases import RELEASES
from support.coverage_resources import RESOURCES

ROWS = (*EXPERIMENTS, *RELEASES, *RESOURCES)
CASES = [case for row in ROWS for case in row.cases]
