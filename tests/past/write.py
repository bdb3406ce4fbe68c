"""Writes what this version serialises into a folder named after it, for later versions to read. Run at a release.

Triggers as Airflow stores them, decision records with the verdicts they hold, and a rollout file.
"""

from __future__ import annotations

import json
import shutil
import sys
from datetime import timedelta
from pathlib import Path

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from airflow_provider_launchdarkly import __version__
from airflow_provider_launchdarkly.audit_log import chain
from airflow_provider_launchdarkly.decision.policy import Policy
from support.audit_records import record
from support.surroundings import REPOSITORY
from unit.triggers.test_arguments import RIGHT

POLICIES = {"ship": Policy(), "rollback": Policy(), "inconclusive": Policy(max_duration=timedelta(days=14))}
LIFTS = {"ship": 0.1, "rollback": -0.3, "inconclusive": 0.0}


def main() -> None:
    folder = Path(__file__).parent / __version__
    folder.mkdir()
    triggers = [kind(**arguments).serialize() for kind, arguments in RIGHT.items()]
    (folder / "triggers.json").write_text(json.dumps(triggers, indent=1) + "\n")
    for ending, policy in POLICIES.items():
        (folder / f"{ending}.jsonl").write_text(chain.write(record(policy, lift=LIFTS[ending])))
    for file in (REPOSITORY / "dags_examples" / "rollouts").glob("*.yaml"):
        shutil.copy(file, folder)


if __name__ == "__main__":
    main()
