"""One function for each operation, by resource: it reads the request, applies `rules`, and returns the response.

A handler opens a transaction, and commits it after the response is built. It has no rule of LaunchDarkly's itself.
"""
