"""Evidence from the tables that LaunchDarkly writes into the user's warehouse."""
