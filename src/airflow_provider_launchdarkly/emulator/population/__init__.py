"""Simulated people: the ground truth, how they are drawn and what is measured of them."""
