"""Emulate LaunchDarkly's experiments API on loopback, with its rules, simulated people and a clock that tests advance.

It serves tests and demonstrations. It imports nothing from the API client, since a mistake made in both would cancel
out; LaunchDarkly's published clients are run against it instead (`tests/contract`).

The rooms, from the outside in. Each may import only from those below it, as `tests/unit/test_architecture.py` checks:

| room | holds | add here |
|---|---|---|
| `transport` | HTTP server, routes, faults, journal, control routes, HTML pages | a fault, a control route |
| `handlers` | one function for each operation | an operation |
| `serializers` | LaunchDarkly's JSON for each resource | a field of a response |
| `rules` | what LaunchDarkly allows and what each write changes | a patch instruction, a check |
| `state` | data model, transactions, clock, switches, snapshots, worlds | a switch, an API generation |
| `population` | the simulated people and the statistics of their metrics | a property of the people |
| `errors`, `fields` | LaunchDarkly's error responses; strict reading of plain data | a status code |

A request goes down and its response comes up: `transport.app` reads it, `transport.engine` authenticates it and finds
its fault, a handler opens a transaction, `rules` changes it, `serializers` turn the result into JSON, and the handler
commits.
"""
