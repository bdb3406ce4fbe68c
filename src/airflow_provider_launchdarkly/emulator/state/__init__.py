"""The emulated world: its models, clock, snapshots and settings."""
