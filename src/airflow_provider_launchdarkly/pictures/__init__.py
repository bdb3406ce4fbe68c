"""Draws what people see of an experiment: SVG, HTML and text from plain values. No I/O, no scripts, nothing loaded."""
