"""Apply LaunchDarkly's rules: check each write and store its effects in the transaction.

A rule raises an error of `errors`. It does no HTTP and returns no JSON.
"""
