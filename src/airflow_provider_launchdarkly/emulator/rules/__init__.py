"""LaunchDarkly's rules for experiments, flags, holdouts and layers."""
