"""LaunchDarkly's experiments API on loopback, with its rules, simulated people and a clock that one can turn.

For tests and demonstrations; imports nothing of the API client, so that a mistake made in both cannot cancel out.
"""
