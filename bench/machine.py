"""What this was measured on: cores, system, Python, and the versions of what the figures depend on."""

import os
import platform
from importlib.metadata import version
from typing import Any, Final

_PACKAGES: Final = ("kr8s", "msgspec", "httpx", "aiohttp", "opentelemetry-sdk")


def described() -> dict[str, Any]:
    """As values, for JSON."""
    return {
        "cores": os.cpu_count() or 0,
        "load": round(os.getloadavg()[0], 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
    }


def line() -> str:
    """As one line, for people."""
    seen = described()
    packages = ", ".join(f"{name} {number}" for name, number in seen["packages"].items())
    return (
        f"{seen['cores']} cores (load {seen['load']}), {seen['system']}, Python {seen['python']}, {packages}"
    )
