"""What a policy costs, measured on simulated experiments: false ships, power, days. The only place with numpy.

Needs the extra `simulation`. Nothing here decides by itself: boundaries, plan and tests are those of `decision`.
"""
