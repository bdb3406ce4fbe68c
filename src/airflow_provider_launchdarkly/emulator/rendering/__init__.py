"""What LaunchDarkly answers: state in, JSON out. Decides nothing and changes nothing."""
