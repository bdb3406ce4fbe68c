"""The default time between two polls.

One number has three names, each where its readers look for it: ``[launchdarkly] poll_interval`` in Airflow's
configuration, ``poke_interval`` on a sensor (Airflow's name on every sensor), ``poll_interval`` on a trigger. A sensor
passes its ``poke_interval`` on to its trigger. A sensor or a watcher's trigger without one takes the configured number.
"""

from __future__ import annotations

from airflow.providers.common.compat.sdk import conf

# The default in get_provider_info. Airflow 3.1 does not always load the defaults that providers declare.
DEFAULT_SECONDS = 300.0


def configured_poll_interval() -> float:
    """Return the configured seconds between two polls.

    Raises:
        AirflowConfigException: The configured value is not a number.
    """
    seconds: float = conf.getfloat("launchdarkly", "poll_interval", fallback=DEFAULT_SECONDS)
    return seconds
