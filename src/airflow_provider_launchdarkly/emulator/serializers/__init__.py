"""Return LaunchDarkly's JSON for each resource. A serializer reads a transaction and changes nothing."""
