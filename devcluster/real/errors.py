"""What goes wrong with a real cluster, for a person."""


class ClusterError(Exception):
    """The message says what went wrong, where, and what to do about it."""
