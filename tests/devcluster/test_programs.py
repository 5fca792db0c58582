import re
import shutil

import pytest

from devcluster import programs
from devcluster.cli import main

GO = """#!/bin/sh
case $1 in
env) echo go1.26.1; echo amd64; exit;;
mod) echo "{\\"Dir\\": \\"${0%/*}\\"}"; exit;;
install) program=$GOBIN/helm;;
build) program=$4;;
esac
[ -e "$BROKEN" ] && { echo 'disk full'; exit 1; }
{ echo "GOFLAGS=$GOFLAGS CGO_ENABLED=$CGO_ENABLED"; pwd; printf '%s\\n' "$@"; } > "$program"
"""


@pytest.fixture
def go(tmp_path, monkeypatch):
    """A `go` that writes how it was called to the program that it is to build."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "go").write_text(GO)
    (folder / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setenv("RUNHERD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BROKEN", str(tmp_path / "broken"))
    return folder / "go"


def test_a_program_is_built_from_its_pinned_module_and_says_how_long_that_takes(go):
    told = []

    built = programs.path("helm", told.append)

    text = built.read_text()
    assert "helm.sh/helm/v4/cmd/helm@v4.3.1" in text
    assert "GOFLAGS=-trimpath CGO_ENABLED=0" in text
    assert "version.version=v4.3.1" in text
    assert told[0] == "building helm v4.3.1 (about 2 min, once) …"
    assert re.fullmatch(r"built helm v4\.3\.1 in \d+ s", told[1])


def test_a_program_whose_module_replaces_others_is_built_inside_that_module(go):
    text = programs.path("jaeger", lambda _: None).read_text()

    assert str(go.parent) in text.splitlines()
    assert "github.com/jaegertracing/jaeger/cmd/jaeger" in text.splitlines()
    assert "version.latestVersion=v1.76.0" in text


def test_a_built_program_needs_no_go_any_more(go):
    built = programs.path("helm", lambda _: None)
    go.unlink()

    assert programs.path("helm", pytest.fail) == built


def test_all_of_kubernetes_is_one_file_under_the_names_of_its_programs(go):
    kubectl = programs.path("kubectl", lambda _: None)

    assert kubectl.resolve() == programs.path("kubernetes", pytest.fail).resolve()
    assert {each.name for each in kubectl.parent.iterdir()} == {"kubernetes", *programs.LINKS}
    assert "k8s.io/component-base/version.gitVersion=v1.36.3" in kubectl.read_text()
    assert str(programs.MODULE) in kubectl.read_text()


def test_the_stamp_of_kubernetes_changes_with_its_sources_and_with_go(tmp_path):
    module = tmp_path / "module"
    shutil.copytree(programs.MODULE, module)
    before = programs.kubernetes_stamp(module, "go1.26.1")

    assert before.startswith("kubernetes-v1.36.3-")
    assert programs.kubernetes_stamp(module, "go1.26.1") == before
    assert programs.kubernetes_stamp(module, "go1.26.2") != before
    (module / "main.go").write_text("package main")
    assert programs.kubernetes_stamp(module, "go1.26.1") != before


def test_the_server_can_say_its_version():
    stamps = programs.kubernetes_stamps("v1.36.3")

    assert {key.rpartition(".")[2]: value for key, value in stamps.items()} == {
        "gitVersion": "v1.36.3",
        "gitMajor": "1",
        "gitMinor": "36",
        "gitTreeState": "clean",
    }


def test_a_build_that_fails_shows_what_the_compiler_said_and_leaves_nothing(go, tmp_path):
    (tmp_path / "broken").touch()

    with pytest.raises(programs.BuildError, match=r"(?s)helm v4.3.1 could not be built .*disk full"):
        programs.path("helm", lambda _: None)
    assert not list((tmp_path / "cache").glob("helm*"))


def test_without_go_the_error_says_what_to_install(go, monkeypatch):
    monkeypatch.setenv("PATH", "/nonexistent")

    with pytest.raises(programs.BuildError, match=r"install Go 1\.26 or newer"):
        programs.path("helm", lambda _: None)


def test_the_command_prints_nothing_but_the_path(go, capsys):
    assert main(["program", "helm"]) == 0
    assert capsys.readouterr().out.strip().endswith("/helm-v4.3.1/helm")


def test_the_command_tells_of_a_failure_without_a_traceback(go, capsys, tmp_path):
    (tmp_path / "broken").touch()

    assert main(["program", "helm"]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "disk full"


def test_an_unknown_program_is_refused_with_the_names_of_those_there_are(capsys):
    with pytest.raises(SystemExit):
        main(["program", "docker"])
    assert "kubeconform" in capsys.readouterr().err
    with pytest.raises(programs.BuildError, match="kubeconform"):
        programs.path("docker")
