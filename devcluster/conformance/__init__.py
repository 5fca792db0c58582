"""Scenarios that any API server can be asked to play: what is requested, and what is to be seen.

What is expected was seen on a real Kubernetes 1.36 (`devcluster real`). The fake cluster plays the same
scenarios in the fast tests; what it does otherwise is in `known.py`, with the reason, and nowhere else.
"""
