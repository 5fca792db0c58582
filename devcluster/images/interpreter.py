"""Python for images, from Debian packages: the interpreter, what is installed for it, and compiled code.

Owns: which packages make a Python, what of them is left out, how this machine runs it without a container.
Never: uses this machine's Python for what the image's decides: wheels and byte code fit one minor version.
"""

import shutil
import stat
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from devcluster.images import debian, skeleton
from devcluster.images.running import ImageError, Told, run

ROOTS = ("python3", "ca-certificates", "tzdata")
FOLLOW = (
    "python3", "libpython3", "libc6", "libgcc-s", "libssl", "libffi", "libexpat", "zlib", "libbz2", "liblzma",
    "libcrypt", "libzstd",
)  # fmt: skip
"""What Python needs of its dependencies; without the others, some extension modules can't be loaded:"""
UNLOADABLE = ("_curses", "_curses_panel", "_dbm", "_gdbm", "_sqlite3", "_uuid", "nis", "readline")
UNWANTED = (
    "usr/bin/[!p]*", "usr/bin/p[!y]*", "usr/bin/py[!t]*", "usr/sbin/*", "usr/lib/binfmt.d",
    "usr/lib/python3*/test", "usr/lib/python3*/pydoc_data", "usr/lib/python3*/ensurepip",
    "usr/share/ca-certificates", "usr/share/python3", "usr/share/binfmts", "usr/share/pixmaps",
    "usr/share/applications", "usr/share/debconf", "usr/lib/valgrind",
)  # fmt: skip
SCRIPT = """#!/bin/sh
# The image's Python on this machine: its own loader, its own C library.
root=$(dirname "$(readlink -f "$0")")/root
unset PYTHONPATH PYTHONSTARTUP
export PYTHONHOME="$root/usr" PYTHONHASHSEED=0 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8
exec "$root/{loader}" --library-path "$root/{libraries}" "$root/usr/bin/python3" "$@"
"""


def packages(told: Told) -> tuple[debian.Package, ...]:
    """The packages that make a Python."""
    return debian.needed(ROOTS, FOLLOW, told)


def fill(folder: Path, wanted: Sequence[debian.Package], told: Told) -> None:
    """Make `folder`: in it `root`, which stands for `/`, and `python`, which runs that Python here."""
    root = folder / "root"
    root.mkdir(parents=True)
    debian.unpack(wanted, root, told)
    skeleton.trust(root)
    _trim(root)
    skeleton.lay_out(root, "usr/local/bin")
    _name(root)
    _write_script(folder)
    compile_all(folder, root, *sorted(root.glob("usr/lib/python3.*")))


def compile_all(python: Path, root: Path, *folders: Path) -> None:
    """Byte code for all modules in `folders`, below `root`. `python` is a folder made by `fill`.

    The root of a container is read-only: what is not compiled now would be at every start. The code is
    marked as not to be checked against its source: times are all zero, and the sources can't change.
    """
    modules = [str(folder) for folder in folders]
    command = [
        str(python / "python"),
        "-m",
        "compileall",
        "-q",
        "-f",
        "--invalidation-mode",
        "unchecked-hash",
    ]
    run("compile Python modules", [*command, "-s", str(root), "-p", "/", *modules])


def install(python: Path, requirements: Path, folder: Path, told: Told) -> None:
    """The distributions of a requirements file with hashes, as wheels for that Python, into `folder`."""
    started = time.monotonic()
    told(f"fetching what {requirements.name} names (about 15 s, once) …")
    ours = [sys.executable, "-m", "pip", "--python", str(python / "python")]
    options = ["--require-hashes", "--only-binary=:all:", "--no-compile", "--no-warn-script-location"]
    try:
        run(
            "install the dependencies",
            [*ours, "install", "--quiet", *options, "--target", str(folder), "-r", str(requirements)],
            PIP_ROOT_USER_ACTION="ignore",
            PIP_DISABLE_PIP_VERSION_CHECK="1",
        )
    except ImageError as error:
        raise ImageError(
            f"{error}\nwheels are needed for this machine's kind, and a network to fetch them"
        ) from error
    _trim_installed(folder)
    told(f"installed {requirements.name} in {time.monotonic() - started:.1f} s")


def _trim(root: Path) -> None:
    for pattern in UNWANTED:
        for at in sorted(root.glob(pattern)):
            _remove(at)
    for module in UNLOADABLE:
        for at in root.glob(f"usr/lib/python3.*/lib-dynload/{module}.*"):
            at.unlink()


def _name(root: Path) -> None:
    """The name `python`, where the official image has it."""
    for name in ("python", "python3"):
        (root / "usr/local/bin" / name).symlink_to("/usr/bin/python3")


def _write_script(folder: Path) -> None:
    root = folder / "root"
    loaders = sorted(at for at in root.glob("usr/lib/*-linux-gnu*/ld-linux-*.so.*"))
    if not loaders:
        raise ImageError("the package libc6 brought no loader: is this a Debian with glibc?")
    script = folder / "python"
    loader = loaders[0].relative_to(root)
    script.write_text(SCRIPT.format(loader=loader, libraries=loader.parent))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)


def _trim_installed(folder: Path) -> None:
    """Programs and RECORDs name this machine's folders, tests are not run there."""
    _remove(folder / "bin")
    for pattern in ("*.dist-info/RECORD", "**/tests", "**/test"):
        for at in sorted(folder.glob(pattern)):
            _remove(at)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
