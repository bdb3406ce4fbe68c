"""The view of an experiment: the reading model, and what fills it. Pages, terminal and reports draw from it."""
