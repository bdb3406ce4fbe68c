"""State in, LaunchDarkly's JSON out."""
