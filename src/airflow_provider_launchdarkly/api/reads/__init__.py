"""Reads that take more than one call."""
