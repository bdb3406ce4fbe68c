"""Sensors wait for a state of LaunchDarkly. They only read."""
