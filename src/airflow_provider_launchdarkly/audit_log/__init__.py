"""The decision record: each look with its evidence and verdict, chained by hashes."""
