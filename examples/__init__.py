"""Runs to look at and to apply, and a demo that plays them all."""
