"""What stops the demo, told so that it can be mended."""


class Trouble(Exception):  # noqa: N818 — it is what the user is told, not a fault of the program
    """Something outside of the demo is not as it must be: what, where, and how to mend it. No traceback."""
