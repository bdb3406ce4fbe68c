"""Serve the emulator over HTTP: the server, routes, faults, the journal, the control routes and the HTML page.

The engine decides without I/O; the app and the server only read and write bytes. No rule of LaunchDarkly's is here.
"""
