"""What the layers of our images hold, and what each is made from.

Owns: the content of every layer. Never: writes a layer, or says how a container starts.
"""

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from devcluster.images import claude, debian, interpreter, skeleton
from devcluster.images.keeping import kept
from devcluster.images.layout import Access
from devcluster.images.running import ImageError, Told, run

TREE = Path(__file__).parents[2]
"""The repository: images are made of its code."""
MODULES = ("debian.py", "interpreter.py", "layout.py", "parts.py", "skeleton.py")
USER = 65532
AGENT_ROOTS = ("bash", "busybox-static", "ca-certificates")
AGENT_HOME, AGENT_FOLDER = "/home/agent", "/workspace"
Fill = Callable[[Path, Told], Path]
"""Fills the folder given, which stands for `/`, or has one elsewhere; which one it was."""


@dataclass(frozen=True, slots=True)
class Part:
    """A layer to be: `made_from` changes when its content would, `kept` if it will be used again."""

    name: str
    made_from: str
    fill: Fill
    kept: bool = False
    access: Access = field(default_factory=Access)


def sources() -> str:
    """A digest of the modules that decide what is in a layer: when one changes, all are made anew."""
    return digest_of({name: Path(__file__).with_name(name).read_bytes() for name in MODULES})


def digest_of(contents: Mapping[str, bytes]) -> str:
    """Of names and contents of files, in whatever order they come."""
    total = hashlib.sha256()
    for name, content in sorted(contents.items()):
        total.update(f"{name}\0{hashlib.sha256(content).hexdigest()}\n".encode())
    return total.hexdigest()


def code_files(folder: str) -> list[str]:
    """The files of a package of the repository, by their paths in it; ImageError if there is none."""
    files = [at for at in (TREE / folder).rglob("*") if at.is_file() and "__pycache__" not in at.parts]
    if not files:
        raise ImageError(f"{TREE / folder} is missing: images are made in a checkout of the repository")
    return [at.relative_to(TREE).as_posix() for at in files]


def pause(told: Told) -> Part:
    """A static program that waits, reaps orphans, and ends on SIGTERM: catatonit, which was made for that."""
    packages = debian.needed(("catatonit",), (), told)

    def fill(draft: Path, told: Told) -> Path:
        debian.unpack(packages, draft / "debian", told)
        return _only(draft, {"catatonit": draft / "debian/usr/bin/catatonit"})

    return Part("pause", f"{packages}", fill)


def busybox(told: Told) -> Part:
    """Debian's static busybox under all its names."""
    packages = debian.needed(("busybox-static",), (), told)

    def fill(draft: Path, told: Told) -> Path:
        debian.unpack(packages, draft / "debian", told)
        root = _only(draft, {"bin/busybox": draft / "debian/bin/busybox"})
        _applets(root, "bin")
        nobody = f"nobody:x:{USER}:{USER}:nobody:/home:/bin/false"
        skeleton.lay_out(root, "home", "var/spool", user=nobody, login="/bin/sh")
        return root

    return Part("busybox", f"{packages}", fill, access=Access(modes=skeleton.TMP))


def python(told: Told) -> Part:
    """Python, its libraries, authorities and time zones; everything compiled."""
    packages = interpreter.packages(told)

    def fill(_: Path, told: Told) -> Path:
        return _python(packages, told) / "root"

    return Part("python", f"{packages}", fill, kept=True, access=Access(modes=skeleton.TMP))


def dependencies(told: Told) -> Part:
    """What the controller imports, in /app."""
    packages, requirements = interpreter.packages(told), TREE / "requirements/run.txt"

    def fill(draft: Path, told: Told) -> Path:
        ours = _python(packages, told)
        interpreter.install(ours, requirements, draft / "app", told)
        interpreter.compile_all(ours, draft, draft / "app")
        return draft

    return Part(
        "dependencies",
        f"{packages} {digest_of({requirements.name: requirements.read_bytes()})}",
        fill,
        kept=True,
    )


def code(name: str, *folders: str, told: Told) -> Part:
    """Packages of this repository, in /app; each parent package comes with its `__init__.py` alone."""
    packages = interpreter.packages(told)
    names = {name for folder in folders for name in code_files(folder)}
    names |= {f"{at}/__init__.py" for folder in folders for at in Path(folder).parents if at.name}
    contents = {name: (TREE / name).read_bytes() for name in names}  # now: they may change before `fill`

    def fill(draft: Path, told: Told) -> Path:
        for at, content in contents.items():
            place = draft / "app" / at
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
        interpreter.compile_all(_python(packages, told), draft, draft / "app")
        return draft

    return Part(name, f"{packages} {digest_of(contents)}", fill)


def agent(told: Told) -> Part:
    """A small Debian (bash, busybox, authorities) with the Claude Code CLI and a home it may write to."""
    packages = debian.needed(AGENT_ROOTS, ("libc6", "libgcc-s", "libtinfo"), told)

    def fill(draft: Path, told: Told) -> Path:
        debian.unpack(packages, draft, told)
        skeleton.trust(draft)
        for name in ("share", "sbin"):
            shutil.rmtree(draft / "usr" / name)
        _applets(draft, "usr/bin")
        user = f"agent:x:{USER}:{USER}:agent:{AGENT_HOME}:/bin/bash"
        folders = ("usr/sbin", "usr/local/bin", AGENT_HOME[1:], AGENT_FOLDER[1:])
        skeleton.lay_out(draft, *folders, user=user, login="/bin/bash")
        claude.fetch(draft / "usr/local/bin/claude", told)
        return draft

    access = Access({AGENT_HOME: USER, AGENT_FOLDER: USER}, skeleton.TMP)
    return Part("agent", f"{packages} {claude.PACKAGES} {claude.VERSION}", fill, access=access)


def _python(packages: tuple[debian.Package, ...], told: Told) -> Path:
    """The folder with an unpacked Python, made once."""
    stamp = hashlib.sha256(f"{sources()} {packages}".encode()).hexdigest()[:16]
    return kept("python", stamp, lambda draft: interpreter.fill(draft, packages, told))


def _only(draft: Path, wanted: dict[str, Path]) -> Path:
    """A root with a few files of an unpacked package."""
    root = draft / "root"
    for name, source in wanted.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, root / name)
    return root


def _applets(root: Path, folder: str) -> None:
    """Links to busybox under the names of its applets, unless a program of that name is there."""
    for name in run("list the applets of busybox", [str(root / "bin/busybox"), "--list"]).split():
        link = root / folder / name
        if not link.exists() and not link.is_symlink():
            link.symlink_to("/bin/busybox")
