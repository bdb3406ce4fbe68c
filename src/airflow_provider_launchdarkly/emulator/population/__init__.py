"""Simulate people: draw them from a ground truth and compute the statistics and results of their metrics.

All of it depends on the seed alone. It reads no world, no clock and no request.
"""
