"""Write the simulated people as rows into a warehouse, as LaunchDarkly's Data Export and its results dataset do.

The tables are a function of the world, the time and the settings: a repeat writes nothing twice.
"""
