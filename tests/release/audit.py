"""`make audit`: asks an index of advisories (OSV) about every package that a constraint file names.

The index is asked first about a version whose advisory is known. An index that does not answer, or answers that this
version is sound as a proxy may, has audited nothing: that is said, and is no failure, since it says nothing about the
packages.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # as a script the tests folder is not on the path yet
    sys.path.insert(0, str(Path(__file__).parents[1]))

from contract.environments import python_with
from support.surroundings import REPOSITORY

CONSTRAINTS = REPOSITORY / "constraints"
# Advisories that were read and accepted, one a line, each with the reason.
ACCEPTED = CONSTRAINTS / "accepted-advisories.txt"
INDEX = "https://api.osv.dev/v1/query"
# Published in 2019, and of all versions before 2.10.1: CVE-2019-10906.
KNOWN = "jinja2==2.10"
PIN = re.compile(r"^([A-Za-z0-9][\w.-]*==\S+)", re.MULTILINE)


class NoAuditError(Exception):
    """pip-audit ended without a report; the message is what it said."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--index", default=INDEX, help="address of an index that answers as OSV does")
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, help="file of advisories that are accepted")
    parser.add_argument("files", type=Path, nargs="*", help="constraint files; all of them, if none is given")
    options = parser.parse_args()
    files = options.files or [path for path in sorted(CONSTRAINTS.glob("*.txt")) if path != ACCEPTED]
    python = python_with("audit")
    try:
        answers = any(package["vulns"] for package in ask(python, options.index, [KNOWN]))
        reason = f"{KNOWN} has no advisory there"
    except NoAuditError as error:
        answers, reason = False, str(error)
    if not answers:
        print(f"no index of advisories answers at {options.index}: {reason}")
        print("NOTHING WAS AUDITED")
        return 0
    try:
        return audit(python, options.index, files, accepted_in(options.accepted))
    except NoAuditError as error:
        print(f"the audit broke off, the rest was not audited: {error}")
        return 1


def audit(python: Path, index: str, files: list[Path], accepted: dict[str, str]) -> int:
    """Ask about each pin of the files once, and print what is known; returns 1 if something is, and is not accepted.

    Args:
        python: Interpreter that has pip-audit.
        index: Address of the index.
        files: Constraint files.
        accepted: Reasons by the advisory's identifier.

    Raises:
        NoAuditError: The index stopped answering.
    """
    asked: set[str] = set()
    met: set[str] = set()
    failed = 0
    for file in files:
        new = [pin for pin in PIN.findall(file.read_text(encoding="utf-8")) if pin not in asked]
        asked.update(new)
        for package in ask(python, index, new) if new else ():
            if "skip_reason" in package:
                failed = 1
                print(f"{file.name}: {package['name']} was not audited: {package['skip_reason']}")
            for advisory in package.get("vulns", ()):
                names = {advisory["id"], *advisory["aliases"]}
                reasons = [accepted[name] for name in sorted(names & accepted.keys())]
                met |= names & accepted.keys()
                failed |= not reasons
                cure = f"fixed in {', '.join(advisory['fix_versions'])}" if advisory["fix_versions"] else "no fix yet"
                word = f"accepted ({reasons[0]})" if reasons else "ADVISORY"
                print(f"{file.name}: {package['name']}=={package['version']}: {word} {advisory['id']}, {cure}")
    for name in sorted(accepted.keys() - met):
        print(f"{name} is accepted, and no package has it any more: remove the line")
    outcome = "failed, see above" if failed else "no advisory but the accepted" if met else "no advisory"
    print(f"audited {len(asked)} versions of {len(files)} constraint files: {outcome}")
    return failed


def ask(python: Path, index: str, pins: list[str]) -> list[dict[str, Any]]:
    """Return pip-audit's report about some versions, a mapping for each package.

    Raises:
        NoAuditError: It made none.
    """
    with tempfile.TemporaryDirectory(prefix="airflow-launchdarkly-audit-") as folder:
        requirements, report = Path(folder) / "pins.txt", Path(folder) / "report.json"
        requirements.write_text("\n".join(pins), encoding="utf-8")
        options = ("--vulnerability-service", "osv", "--osv-url", index, "--no-deps", "--disable-pip")
        output = ("--format", "json", "--progress-spinner", "off", "--output", str(report))
        # A cache of its own, since an old answer is none.
        command = (str(python), "-m", "pip_audit", *options, *output, "--cache-dir", folder, "-r", str(requirements))
        variables = {key: text for key, text in os.environ.items() if not key.startswith("PIP_AUDIT")}
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=variables)
        try:
            found: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["dependencies"]
        except (OSError, ValueError, KeyError):
            raise NoAuditError((done.stderr.strip().splitlines() or ["pip-audit said nothing"])[-1]) from None
        return found


def accepted_in(file: Path) -> dict[str, str]:
    """Return the reasons for which advisories are accepted, by identifier.

    Raises:
        SystemExit: A line gives no reason.
    """
    found = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            if not reason.strip():
                raise SystemExit(f"{file}: {name} has no reason; write `{name} why it does no harm`")
            found[name] = reason.strip()
    return found


if __name__ == "__main__":
    sys.exit(main())
