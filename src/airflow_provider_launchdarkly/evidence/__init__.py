"""Where evidence comes from: LaunchDarkly's results endpoints or a SQL query."""
