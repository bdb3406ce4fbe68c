"""The simulation: measures a policy's false ships, power and days on simulated experiments. Only it imports numpy.

It needs the extra `simulation`. Boundaries, look schedule and tests are those of `decision`.
"""
