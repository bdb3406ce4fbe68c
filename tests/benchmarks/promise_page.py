"""Writes the tables of docs/concepts/how-we-decide.md from docs/concepts/promise.json, without measuring."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from calibration.results import write_page

if __name__ == "__main__":
    write_page()
