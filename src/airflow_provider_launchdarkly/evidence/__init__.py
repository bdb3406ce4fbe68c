"""The sources of evidence: LaunchDarkly's results endpoints, and SQL queries."""
