"""One call of LaunchDarkly as a dialogue without I/O, and the two thin clients that run it."""
