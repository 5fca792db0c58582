"""Whether there is a kubectl that is new enough for what a test does with it."""

import json
import shutil
import subprocess

import pytest


def _minor():
    """The minor version of the kubectl on PATH, 0 if there is none."""
    if (path := shutil.which("kubectl")) is None:
        return 0
    said = subprocess.run(
        [path, "version", "--client", "-o", "json"], capture_output=True, check=False
    ).stdout
    try:
        return int(json.loads(said)["clientVersion"]["minor"].strip("+"))
    except (ValueError, KeyError):
        return 0


def needs_kubectl(oldest):
    """A mark: skipped where no kubectl of 1.`oldest` or newer is on PATH."""
    return pytest.mark.skipif(_minor() < oldest, reason=f"there is no kubectl of 1.{oldest} or newer on PATH")
