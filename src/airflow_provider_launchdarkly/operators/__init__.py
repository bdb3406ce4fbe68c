"""Operators change and read experiments, iterations, flags, results and projects in LaunchDarkly."""
