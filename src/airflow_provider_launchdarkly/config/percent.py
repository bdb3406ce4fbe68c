"""Percentages as people read them."""

from __future__ import annotations


def format_percent(share: float) -> str:
    """Return a share as a signed percentage: ``+6.1 %``, and with two decimals below 1 %: ``-0.25 %``."""
    return f"{100 * share:+.{1 if abs(share) >= 0.01 else 2}f} %"
