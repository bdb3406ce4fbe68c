"""Operators: each one write to LaunchDarkly, safe to repeat."""
