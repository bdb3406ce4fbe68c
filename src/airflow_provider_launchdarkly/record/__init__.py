"""The decision record: what was seen and decided at each look, chained by hashes, and decided again offline."""
