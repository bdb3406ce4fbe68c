"""Strict reading of what users write in files: YAML and durations."""
