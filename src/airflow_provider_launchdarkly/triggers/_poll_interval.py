"""The default time between two polls.

One number has three names, each where its readers look for it: ``[launchdarkly] poll_interval`` in Airflow's
configuration, ``poke_interval`` on a sensor (Airflow's name on every sensor), ``poll_interval`` on a trigger. A sensor
passes its ``poke_interval`` on to its trigger. A sensor or a watcher's trigger without one takes the configured number.
"""

from __future__ import annotations

import math

from airflow.providers.common.compat.sdk import conf

from airflow_provider_launchdarkly.api.errors import ConfigurationError

# The default in get_provider_info. Airflow 3.1 does not always load the defaults that providers declare.
DEFAULT_SECONDS = 300.0

LONGEST_SECONDS = 3_000_000_000
"""95 years. Python's dates and durations end not far beyond what people might write."""


def configured_poll_interval() -> float:
    """Return the configured seconds between two polls.

    Raises:
        ConfigurationError: The configured value is no such number.
    """
    written: str = conf.get("launchdarkly", "poll_interval", fallback=str(DEFAULT_SECONDS))
    try:
        seconds = float(written)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= LONGEST_SECONDS:
        raise ConfigurationError(
            f"[launchdarkly] poll_interval is {written!r} in Airflow's configuration: write seconds, a number above 0, "
            "such as 300"
        )
    return seconds
