"""Archives are made once, and anew when what they are made from changes; no network is used here."""

import argparse
import importlib.util
import subprocess
import sys
import tarfile

import pytest

from devcluster import images
from devcluster.images import commands, interpreter, parts
from devcluster.images.debian import Package, StaleError
from devcluster.images.layout import Config
from devcluster.images.parts import Part
from devcluster.images.recipes import RECIPES, Recipe


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNHERD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def tiny(monkeypatch):
    """An image with one file; `tiny(text)` says what is in it."""

    def make(text, *, kept=False, name="tiny"):
        def fill(draft, told):
            told(f"writing {text}")
            (draft / "file").write_text(text)
            return draft

        part = Part("part", text, fill, kept=kept)
        monkeypatch.setitem(RECIPES, name, Recipe((f"localhost/{name}:1",), Config(), lambda _told: (part,)))

    return make


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository with two packages, and this machine's Python in place of an image's."""
    for name in ("app/__init__.py", "app/module.py", "tools/__init__.py", "tools/server/__init__.py"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text("def answer():\n    return 42\n")
    (tmp_path / "tree" / "tools" / "other.py").touch()
    monkeypatch.setattr(parts, "TREE", tmp_path / "tree")
    monkeypatch.setattr(interpreter, "packages", lambda _told: (Package("python3", "3"),))
    monkeypatch.setattr(interpreter, "fill", lambda draft, *_: this_python(draft))
    return tmp_path / "tree"


def this_python(folder):
    folder.mkdir()
    (folder / "python").write_text(f'#!/bin/sh\nexport PYTHONHASHSEED=0\nexec {sys.executable} "$@"\n')
    (folder / "python").chmod(0o700)


def names_in(layer_or_archive):
    with tarfile.open(layer_or_archive) as tar:
        return tar.getnames()


def test_an_archive_is_made_once(tiny):
    tiny("one")
    said = []

    first = images.archive("tiny", said.append)
    assert "index.json" in names_in(first)
    assert said[0] == "making the image tiny …"
    said.clear()
    assert images.archive("tiny", said.append) == first
    assert said == []


def test_nothing_else_is_left_beside_an_archive(tiny):
    tiny("one")
    archive = images.archive("tiny", print)
    assert list(archive.parent.iterdir()) == [archive]


def test_an_archive_is_made_anew_when_its_content_changes(tiny):
    made = []
    for text in ("one", "two", "one"):
        tiny(text)
        made.append(images.archive("tiny", print))

    assert made[0] == made[2] != made[1]
    assert made[0].read_bytes() != made[1].read_bytes()


def test_a_layer_that_is_kept_is_made_once_for_all_images(tiny):
    said = []
    for name in ("tiny", "other"):
        tiny("one", kept=True, name=name)
        images.archive(name, said.append)

    assert said.count("writing one") == 1


def test_what_was_not_used_for_long_is_forgotten(tiny, folder):
    for text in ("1", "2", "3", "1", "4"):
        tiny(text)
        images.archive("tiny", print)
    said = []
    for text in ("1", "3", "4"):
        tiny(text)
        images.archive("tiny", said.append)

    assert said == []
    assert len(list(folder.glob("image-tiny-archive-*"))) == 3


def test_a_version_that_is_gone_makes_apt_look_anew_once(monkeypatch, tmp_path, tiny):
    updated = tmp_path / "updated"
    on_path(monkeypatch, tmp_path, "apt-get", f"touch {updated}")
    tiny("one")
    good = RECIPES["tiny"]

    def layers(told):
        if not updated.exists():
            raise StaleError("python3 3.11 is gone")
        return good.parts(told)

    monkeypatch.setitem(RECIPES, "tiny", Recipe(good.references, good.config, layers))
    said = []

    assert images.archive("tiny", said.append).exists()
    assert said[0] == "apt's lists are out of date: apt-get update …"


def test_lists_that_cannot_be_fetched_are_a_matter_for_root(monkeypatch, tmp_path):
    on_path(monkeypatch, tmp_path, "apt-get", "echo 'E: Permission denied' >&2; exit 100")

    def layers(told):
        raise StaleError("python3 3.11 is gone")

    monkeypatch.setitem(RECIPES, "tiny", Recipe(("localhost/tiny:1",), Config(), layers))

    with pytest.raises(images.ImageError, match=r"Permission denied\nrun `apt-get update` as root"):
        images.archive("tiny", print)


def test_code_comes_with_its_parent_packages_but_not_with_its_neighbours(tree, tmp_path):
    root = parts.code("server", "tools/server", told=print).fill(tmp_path / "draft", print)

    files = {at.relative_to(root).as_posix() for at in root.rglob("*.py")}
    assert files == {"app/tools/__init__.py", "app/tools/server/__init__.py"}


def test_a_change_of_the_code_changes_what_its_layer_is_made_from(tree):
    before = parts.code("app", "app", told=print).made_from
    (tree / "app" / "__pycache__").mkdir()
    (tree / "app" / "__pycache__" / "module.pyc").touch()
    assert parts.code("app", "app", told=print).made_from == before
    (tree / "app" / "module.py").write_text("def answer():\n    return 43\n")
    assert parts.code("app", "app", told=print).made_from != before


def test_what_a_layer_is_stamped_with_is_what_is_in_it(tree, tmp_path):
    part = parts.code("app", "app", told=print)
    (tree / "app" / "module.py").write_text("changed in between\n")

    assert "return 42" in (part.fill(tmp_path / "draft", print) / "app/app/module.py").read_text()


def test_code_is_compiled_for_a_root_that_nobody_can_write_to(tree, tmp_path):
    first = parts.code("app", "app", told=print).fill(tmp_path / "one", print)
    second = parts.code("app", "app", told=print).fill(tmp_path / "two", print)
    (compiled,) = first.rglob("module.*.pyc")

    content = compiled.read_bytes()
    assert content[:4] == importlib.util.MAGIC_NUMBER
    assert int.from_bytes(content[4:8], "little") == 1  # by hash, and not to be checked
    assert b"/app/app/module.py" in content
    assert str(tmp_path).encode() not in content
    assert content == (second / compiled.relative_to(first)).read_bytes()


def test_a_package_that_is_missing_is_named(tree):
    with pytest.raises(images.ImageError, match=r"tree/nothing is missing"):
        parts.code("x", "nothing", told=print)


def test_the_command_prints_where_the_archive_is(tiny, monkeypatch, capsys):
    tiny("one")
    monkeypatch.setattr(commands, "NAMES", ("tiny",))
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers())
    given = parser.parse_args(["image", "tiny"])

    assert given.run(given) == 0
    printed = capsys.readouterr()
    assert printed.out.strip() == str(images.archive("tiny", print))
    assert "making the image tiny" in printed.err


def test_the_command_says_what_failed_in_a_line(monkeypatch, capsys):
    def layers(told):
        raise images.ImageError("no room")

    monkeypatch.setitem(RECIPES, "pause", Recipe(("localhost/pause:1",), Config(), layers))
    parser = argparse.ArgumentParser()
    commands.add_commands(parser.add_subparsers())
    given = parser.parse_args(["image", "pause"])

    assert given.run(given) == 1
    assert capsys.readouterr().err == "error: no room\n"


def on_path(monkeypatch, folder, name, script):
    """A program of that name, found before any other."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / name).write_text(f"#!/bin/sh\n{script}\n")
    (programs / name).chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    assert subprocess.run(["which", name], capture_output=True, text=True, check=True).stdout.startswith(
        str(programs)
    )
