"""Where images take their content from: Debian's packages, wheels, npm. Nothing is fetched here."""

import base64
import hashlib
import io
import shutil
import subprocess
import tarfile

import pytest

from devcluster.images import claude, debian, interpreter, skeleton
from devcluster.images.debian import Package
from devcluster.images.running import ImageError, run

DEPENDS = """python3
  PreDepends: python3-minimal
  Depends: libpython3-stdlib
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
    debconf
python3-minimal
  Depends: dpkg
libpython3-stdlib
  Depends: libc6
  Depends: libsqlite3-0
libsqlite3-0
  Depends: libc6
libc6
  Depends: libgcc-s1
"""


def test_dependencies_are_followed_as_far_as_their_names_are_wanted():
    graph = debian.read_graph(DEPENDS)

    found = debian.walk(graph, ["python3", "tzdata"], ("python3", "libpython3", "libc6", "libgcc"))

    assert found == ("libc6", "libgcc-s1", "libpython3-stdlib", "python3", "python3-minimal", "tzdata")


def test_nothing_wanted_is_nothing_followed():
    assert debian.walk(debian.read_graph(DEPENDS), ["python3"], ()) == ("python3",)


@pytest.fixture
def apt(tmp_path, monkeypatch):
    """apt as these tests want it: `apt(program, script)`; the cache and the lists are empty."""
    monkeypatch.setenv("RUNHERD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(debian, "LISTS", tmp_path / "lists")
    (tmp_path / "lists").mkdir()
    (tmp_path / "programs").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'programs'}:/usr/bin:/bin")

    def program(name, script):
        (tmp_path / "programs" / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "programs" / name).chmod(0o700)

    return program


def test_apt_is_asked_again_only_when_its_lists_have_changed(apt, tmp_path):
    apt(
        "apt-cache",
        f"echo asked >> {tmp_path}/calls\n"
        'if [ "$1" = depends ]; then echo bash; else printf "Package: bash\\nVersion: 5.2-1\\n\\n"; fi',
    )
    lists = tmp_path / "lists" / "main_Packages"
    lists.write_text("old")
    asked = []
    for content in ("old", "old", "newer"):
        lists.write_text(content) if lists.read_text() != content else None
        assert debian.needed(("bash",), (), print) == (Package("bash", "5.2-1"),)
        asked.append(len((tmp_path / "calls").read_text().splitlines()))

    assert asked == [2, 2, 4]


def test_a_package_that_apt_does_not_know_means_stale_lists(apt):
    apt("apt-cache", "echo 'E: No packages found' >&2; exit 100")
    with pytest.raises(debian.StaleError, match=r"all of bash: (?s:.*)No packages found"):
        debian.needed(("bash",), (), print)


def test_a_package_without_a_version_means_stale_lists(apt):
    apt("apt-cache", 'if [ "$1" = depends ]; then echo bash; fi')
    with pytest.raises(debian.StaleError, match="no version of bash"):
        debian.needed(("bash",), (), print)


def test_a_version_that_can_not_be_fetched_means_stale_lists(apt, tmp_path):
    apt("apt-get", "echo 'E: 404 Not Found' >&2; exit 100")
    with pytest.raises(debian.StaleError, match="404"):
        debian.unpack([Package("bash", "5.2-1")], tmp_path / "root", print)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="packages are made with dpkg-deb")
def test_packages_are_unpacked_to_a_merged_usr_without_documents(apt, tmp_path):
    source = tmp_path / "source"
    for name in ("lib/x/libx.so", "bin/x", "usr/bin/y", "usr/share/doc/x/copyright", "DEBIAN/control"):
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).touch()
    (source / "DEBIAN").chmod(0o755)
    (source / "DEBIAN/control").write_text(
        "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x <x@localhost>\nDescription: x\n"
    )
    subprocess.run(["dpkg-deb", "--build", source, tmp_path / "x.deb"], check=True, capture_output=True)
    apt("apt-get", f"cp {tmp_path}/x.deb .")
    root = tmp_path / "root"

    debian.unpack([Package("x", "1")], root, print)

    assert (root / "lib").is_symlink()
    files = {at.relative_to(root).as_posix() for at in root.rglob("*") if at.is_file()}
    assert {"usr/lib/x/libx.so", "usr/bin/x", "usr/bin/y"} <= files
    assert not (root / "usr/share/doc").exists()


def test_a_program_that_is_missing_is_named_with_the_package_that_brings_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match=r"could not fetch it: there is no npm on the PATH.* install npm"):
        run("fetch it", ["npm", "pack"])


def test_authorities_are_one_bundle_where_openssl_looks_for_it(tmp_path):
    certificates = tmp_path / "usr/share/ca-certificates/mozilla"
    certificates.mkdir(parents=True)
    (certificates / "b.crt").write_text("B\n\n")
    (certificates / "a.crt").write_text("A")

    skeleton.trust(tmp_path)

    assert (tmp_path / "etc/ssl/certs/ca-certificates.crt").read_text() == "A\nB\n"
    assert str((tmp_path / "usr/lib/ssl/cert.pem").readlink()) == "/etc/ssl/certs/ca-certificates.crt"


def test_a_user_gets_an_account_and_a_group_of_its_name(tmp_path):
    skeleton.lay_out(tmp_path, "home/x", user="x:x:65532:65532:x:/home/x:/bin/sh")

    assert (tmp_path / "etc/passwd").read_text().splitlines()[1] == "x:x:65532:65532:x:/home/x:/bin/sh"
    assert (tmp_path / "etc/group").read_text() == "root:x:0:\nx:x:65532:\n"
    assert (tmp_path / "home/x").is_dir()


def test_of_what_pip_installed_nothing_stays_that_names_this_machine(tmp_path):
    for name in (
        "bin/tool",
        "x/tests/test_x.py",
        "x/y/z.py",
        "x-1.dist-info/RECORD",
        "x-1.dist-info/METADATA",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()

    interpreter._trim_installed(tmp_path)

    files = {at.relative_to(tmp_path).as_posix() for at in tmp_path.rglob("*") if at.is_file()}
    assert files == {"x/y/z.py", "x-1.dist-info/METADATA"}


@pytest.fixture
def tarball(tmp_path):
    with tarfile.open(tmp_path / "claude.tgz", "w:gz") as tar:
        info = tarfile.TarInfo("package/claude")
        info.size = 5
        tar.addfile(info, io.BytesIO(b"hello"))
    return tmp_path / "claude.tgz"


def test_the_agents_program_is_taken_from_the_tarball_that_was_pinned(tarball, tmp_path):
    digest = base64.b64encode(hashlib.sha512(tarball.read_bytes()).digest()).decode()

    claude.take(tarball, f"sha512-{digest}", tmp_path / "claude")

    assert (tmp_path / "claude").read_bytes() == b"hello"
    assert (tmp_path / "claude").stat().st_mode & 0o111


def test_another_tarball_is_refused(tarball, tmp_path):
    with pytest.raises(ImageError, match=r"claude\.tgz is not the one that was pinned"):
        claude.take(tarball, "sha512-other", tmp_path / "claude")
    assert not (tmp_path / "claude").exists()


def test_each_machine_has_a_pinned_package():
    for package, integrity in claude.PACKAGES.values():
        assert package.startswith("@anthropic-ai/claude-code-linux-")
        assert len(base64.b64decode(integrity.removeprefix("sha512-"))) == 64
