"""Sensors: they wait for something in LaunchDarkly, and never change it."""
