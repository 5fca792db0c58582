"""What images take from Debian (or Ubuntu): packages in the versions that apt knows, unpacked, not installed.

Owns: which packages a list of names leads to, fetching them with apt-get, the merged /usr they go to.
Never: installs anything on this machine, runs a package's scripts, or needs root.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from devcluster.images.keeping import kept
from devcluster.images.running import ImageError, Told, found, run

LISTS = Path("/var/lib/apt/lists")
MERGED = ("bin", "lib", "lib64", "sbin")
"""Folders of the root that are links into /usr."""
UNWANTED = (
    "usr/share/doc", "usr/share/man", "usr/share/info", "usr/share/locale", "usr/share/lintian",
    "usr/share/bug", "usr/share/menu", "usr/share/initramfs-tools", "usr/lib/*/gconv",
)  # fmt: skip
"""What nobody reads in a container: 8 MB of character sets (gconv) and 2 MB of documents."""


class StaleError(ImageError):
    """apt's lists lack a package, or name a version that is gone: they have to be fetched anew."""


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """A package and the version that apt would install."""

    name: str
    version: str


def needed(roots: Sequence[str], follow: Sequence[str], told: Told) -> tuple[Package, ...]:
    """The packages `roots`, and what they depend on, as far as its name begins with one of `follow`.

    Asking apt takes a second or two, so the answer is kept until its lists change. Raises StaleError.
    """
    asked = json.dumps([roots, follow, _lists()])
    stamp = f"{hashlib.sha256(asked.encode()).hexdigest()[:16]}.json"

    def ask(draft: Path) -> None:
        told(f"asking apt for {', '.join(roots)} …")
        names = walk(_dependencies(roots), roots, follow)
        draft.write_text(json.dumps([asdict(package) for package in _versions(names)]))

    return tuple(
        Package(**package) for package in json.loads(kept(f"packages-{roots[0]}", stamp, ask).read_text())
    )


def walk(graph: Mapping[str, Sequence[str]], roots: Iterable[str], follow: Sequence[str]) -> tuple[str, ...]:
    """The names that `roots` lead to in `graph`, through names that begin with one of `follow`; sorted."""
    reached: set[str] = set()
    ahead = list(roots)
    while ahead:
        name = ahead.pop()
        reached.add(name)
        ahead += [n for n in graph.get(name, ()) if n.startswith(tuple(follow)) and n not in reached]
    return tuple(sorted(reached))


def read_graph(text: str) -> dict[str, list[str]]:
    """What `apt-cache depends --recurse` prints: the dependencies of each package."""
    graph: dict[str, list[str]] = {}
    of: list[str] = []
    for line in text.splitlines():
        kind, _, name = line.strip(" |").partition(": ")
        if not line.startswith(" "):
            of = graph.setdefault(line, [])
        elif kind in ("Depends", "PreDepends"):
            of.append(name)
    return graph


def unpack(packages: Sequence[Package], root: Path, told: Told) -> None:
    """Fetch the packages and unpack them into the empty folder `root`. Raises StaleError."""
    started = time.monotonic()
    told(f"fetching {', '.join(package.name for package in packages)} with apt-get …")
    for name in MERGED:
        (root / "usr" / name).mkdir(parents=True)
        (root / name).symlink_to(f"usr/{name}")
    with tempfile.TemporaryDirectory(prefix="runherd-debs-") as held:
        _fetch(packages, Path(held))
        for package in sorted(Path(held).glob("*.deb")):
            _unpack(package, root)
    for pattern in UNWANTED:
        for folder in sorted(root.glob(pattern)):
            shutil.rmtree(folder)
    told(f"unpacked them in {time.monotonic() - started:.1f} s")


def update(told: Told) -> None:
    """Fetch apt's lists anew; ImageError if that fails, or is not allowed."""
    told("apt's lists are out of date: apt-get update …")
    try:
        run("bring apt's lists up to date", ["apt-get", "--quiet", "update"])
    except ImageError as error:
        raise ImageError(f"{error}\nrun `apt-get update` as root, then try again") from error


def _lists() -> list[tuple[str, int, int]]:
    """The state of apt's lists, cheaply."""
    found = [(at.name, at.stat()) for at in sorted(LISTS.glob("*_Packages*"))]
    return [(name, state.st_size, state.st_mtime_ns) for name, state in found]


def _dependencies(roots: Sequence[str]) -> dict[str, list[str]]:
    try:
        return read_graph(run("ask apt", ["apt-cache", "depends", "--important", "--recurse", *roots]))
    except ImageError as error:
        raise StaleError(f"apt does not know all of {', '.join(roots)}: {error}") from error


def _versions(names: Sequence[str]) -> tuple[Package, ...]:
    text = run("ask apt for versions", ["apt-cache", "--no-all-versions", "show", *names])
    stanzas = [
        dict(line.split(": ", 1) for line in stanza.splitlines() if ": " in line and line[0] != " ")
        for stanza in text.split("\n\n")
    ]
    known = {stanza["Package"]: stanza["Version"] for stanza in stanzas if "Package" in stanza}
    if missing := set(names) - set(known):
        raise StaleError(f"apt has no version of {', '.join(sorted(missing))}")
    return tuple(Package(name, known[name]) for name in names)


def _fetch(packages: Sequence[Package], folder: Path) -> None:
    wanted = [f"{package.name}={package.version}" for package in packages]
    try:
        run("fetch Debian packages", ["apt-get", "--quiet", "download", *wanted], cwd=folder)
    except ImageError as error:
        raise StaleError(str(error)) from error


def _unpack(package: Path, root: Path) -> None:
    """Not `dpkg-deb --extract`: that puts a folder where we have the link of a merged /usr."""
    source = subprocess.Popen(
        [found("dpkg-deb", "unpack"), "--fsys-tarfile", str(package)], stdout=subprocess.PIPE
    )
    into = [found("tar", "unpack"), "-x", "--keep-directory-symlink", "--no-same-owner", "-C", str(root)]
    with source:
        done = subprocess.run(into, stdin=source.stdout, capture_output=True, text=True, check=False)
    if done.returncode or source.returncode:
        raise ImageError(f"could not unpack {package.name}: {done.stderr.strip() or 'it is damaged'}")
