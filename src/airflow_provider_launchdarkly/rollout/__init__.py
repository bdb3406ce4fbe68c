"""Experiments rolled out in stages: what a rollout is, and the DAGs that run it. Composed of the public operators."""
