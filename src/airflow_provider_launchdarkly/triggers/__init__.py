"""Triggers: they read and decide, and never write."""
