"""Keeps it moving: tasks and in-memory state between the cluster and the decisions."""
