"""Hold the emulated account: data model, transactions, clock, switches, API generations, snapshots and worlds.

It has no rule of LaunchDarkly's and none of its JSON.
"""
