"""What sensors wait for: states of LaunchDarkly, each looked at by a procedure. No Airflow, no I/O of their own.

Anchored to an iteration's id or to an absolute state, so that nothing is missed that happened before the waiting began.
"""
