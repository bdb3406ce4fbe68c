"""HTTP: the exchange of one call, without I/O, and the two clients that run it."""
