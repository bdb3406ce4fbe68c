"""`python -m airflow_provider_launchdarkly.emulator`: the same as `airflow-launchdarkly emulator`."""

import sys

from airflow_provider_launchdarkly.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["emulator", *sys.argv[1:]]))
