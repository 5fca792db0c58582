"""A small stand-in of the Messages API: real agents can run against it, each in a scenario of its choice.

Only the standard library and this package are imported here: its image is Python and these files.
"""
