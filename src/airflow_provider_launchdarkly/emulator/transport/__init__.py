"""The transport: routes, the engine, faults and the journal."""
