"""What a statement loads in a fresh process.

One process forks for each statement, since it takes seconds to import Airflow.
"""

from __future__ import annotations

import subprocess
import sys
from functools import cache

# Imports what its argument says, then forks for each line of its input, whose modules are a line of its output.
_FORKS = """
import os, sys, traceback
exec(sys.argv[1])
for statement in sys.stdin:
    if os.fork():
        os.wait()
        continue
    try:
        exec(statement, {})
        print(*sys.modules, flush=True)
    except BaseException:
        traceback.print_exc()
        print(flush=True)
    os._exit(0)
"""


@cache
def _process(first: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", _FORKS, first]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@cache
def loaded_by(statement: str, first: str = "") -> frozenset[str]:
    """Return the modules that are loaded after a statement.

    Args:
        statement: One line of Python.
        first: What runs before it. What this loads is in the result, too.
    """
    process = _process(first)
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{statement}\n")
    process.stdin.flush()
    loaded = frozenset(process.stdout.readline().split())
    assert loaded, f"{statement} raises what is written to stderr"
    return loaded
