import subprocess
import sys
from pathlib import Path

import pytest

from devcluster import cache


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("RUNHERD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_where_the_environment_says_else_in_the_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", "/somewhere")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.folder() == tmp_path / "cache"
    monkeypatch.delenv("RUNHERD_CACHE")
    assert cache.folder() == tmp_path / "runherd"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.folder() == Path("/somewhere/.cache/runherd")


def test_a_thing_is_made_once(folder):
    made = [cache.made("tool-1", lambda draft, n=n: draft.write_text(str(n))) for n in (1, 2)]

    assert made == [folder / "tool-1"] * 2
    assert (folder / "tool-1").read_text() == "1"


def test_a_folder_can_be_made_too():
    def make(draft: Path) -> None:
        draft.mkdir()
        (draft / "program").touch()

    assert (cache.made("tool-1", make) / "program").exists()


def test_what_failed_half_way_is_not_there_and_is_made_anew(folder):
    def fail(draft: Path) -> None:
        draft.mkdir()
        (draft / "half").touch()
        raise RuntimeError("no space")

    with pytest.raises(RuntimeError, match="no space"):
        cache.made("tool-1", fail)
    assert not [each for each in folder.iterdir() if not each.name.endswith(".lock")]

    assert cache.made("tool-1", lambda draft: draft.mkdir()).is_dir()


def test_what_a_killed_process_left_is_not_taken_for_whole(folder):
    folder.mkdir()
    (folder / ".tool-1.draft").mkdir()
    (folder / ".tool-1.draft" / "half").touch()

    assert cache.made("tool-1", lambda draft: draft.touch()).is_file()


def test_a_second_process_waits_for_the_first_and_takes_what_it_made(folder):
    waits = (
        "from devcluster import cache; print(cache.made('tool-1', lambda draft: draft.write_text('second')))"
    )
    waiting = []

    def make(draft: Path) -> None:
        second = subprocess.Popen(
            [sys.executable, "-c", waits], stderr=subprocess.PIPE, stdout=subprocess.PIPE
        )
        waiting.append(second)
        assert second.stderr.readline() == "waiting for another process that makes tool-1 …\n".encode()
        draft.write_text("first")

    cache.made("tool-1", make)
    said, _ = waiting[0].communicate()

    assert said.decode().strip() == str(folder / "tool-1")
    assert (folder / "tool-1").read_text() == "first"
