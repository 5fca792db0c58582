"""Decides. Pure functions over frozen values: no I/O, no clock, no async, no logging."""
