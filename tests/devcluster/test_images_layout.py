"""What the writer of archives promises to those who import them."""

import hashlib
import json
import os
import tarfile

import pytest

from devcluster.images.layout import Access, Config, architecture, write_archive, write_layer

NAMES = ("localhost/x:1", "docker.io/library/x:1.36")
CONFIG = Config(
    user="65532:65532",
    environment={"PATH": "/bin", "A": "b"},
    entrypoint=("x",),
    folder="/app",
    ports=("8080/tcp",),
    labels={"title": "x"},
)


def a_root(folder, *, backwards=False):
    """The same files, made in either order."""
    files = [("a/b", "1"), ("a-b", "22"), ("a/c/d", "333")]
    for name, text in reversed(files) if backwards else files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "tmp").mkdir()
    (folder / "link").symlink_to("/a/b")
    (folder / "run").write_text("#!/bin/sh\n")
    (folder / "run").chmod(0o700)
    return folder


@pytest.fixture
def layer(tmp_path):
    (tmp_path / "root").mkdir()
    return write_layer(
        a_root(tmp_path / "root"),
        tmp_path / "layer.tar",
        Access({"/a": 1000}, {"/tmp": 0o1777}),  # noqa: S108 (in the image)
    )


@pytest.fixture
def opened(tmp_path, layer):
    write_archive(tmp_path / "x.tar", NAMES, CONFIG, [layer])
    with tarfile.open(tmp_path / "x.tar") as tar:
        yield {member.name: tar.extractfile(member).read() for member in tar}


def test_every_blob_is_what_its_name_and_its_descriptor_say(opened):
    blobs = {name: content for name, content in opened.items() if name.startswith("blobs/")}
    assert len(blobs) == 3
    for name, content in blobs.items():
        assert name == f"blobs/sha256/{hashlib.sha256(content).hexdigest()}"

    index = json.loads(opened["index.json"])
    manifest = json.loads(blob(opened, index["manifests"][0]))
    for descriptor in (*index["manifests"], manifest["config"], *manifest["layers"]):
        assert len(blob(opened, descriptor)) == descriptor["size"]


def test_an_image_is_in_the_index_under_each_of_its_names(opened):
    entries = json.loads(opened["index.json"])["manifests"]

    assert tuple(entry["annotations"]["io.containerd.image.name"] for entry in entries) == NAMES
    assert len({entry["digest"] for entry in entries}) == 1
    assert json.loads(opened["oci-layout"]) == {"imageLayoutVersion": "1.0.0"}


def test_the_configuration_names_the_layers_and_how_a_container_starts(opened, layer):
    index = json.loads(opened["index.json"])
    manifest = json.loads(blob(opened, index["manifests"][0]))
    settings = json.loads(blob(opened, manifest["config"]))

    assert settings["rootfs"] == {"type": "layers", "diff_ids": [layer.digest]}
    assert (settings["os"], settings["architecture"]) == ("linux", architecture())
    assert settings["config"] == {
        "User": "65532:65532",
        "Env": ["PATH=/bin", "A=b"],
        "Entrypoint": ["x"],
        "WorkingDir": "/app",
        "ExposedPorts": {"8080/tcp": {}},
        "Labels": {"title": "x"},
    }


def test_the_same_files_give_the_same_bytes_whoever_makes_them_and_when(tmp_path):
    written = []
    for name, mask in (("one", 0o022), ("two", 0o077)):
        before = os.umask(mask)
        try:
            (tmp_path / name).mkdir()
            root = a_root(tmp_path / name, backwards=name == "two")
        finally:
            os.umask(before)
        os.utime(root / "a-b", (mask, mask))
        layer = write_layer(root, tmp_path / f"{name}.layer", Access())
        write_archive(tmp_path / f"{name}.tar", NAMES, CONFIG, [layer])
        written.append((tmp_path / f"{name}.tar").read_bytes())

    assert written[0] == written[1]


def test_owners_modes_and_times_go_by_rule(layer):
    with tarfile.open(layer.path) as tar:
        members = tar.getmembers()

    assert {member.name: (member.uid, member.gid, oct(member.mode)) for member in members} == {
        "a": (1000, 1000, "0o755"),
        "a/b": (0, 0, "0o644"),
        "a/c": (0, 0, "0o755"),
        "a/c/d": (0, 0, "0o644"),
        "a-b": (0, 0, "0o644"),
        "link": (0, 0, "0o777"),
        "run": (0, 0, "0o755"),
        "tmp": (0, 0, "0o1777"),
    }
    assert {member.mtime for member in members} == {0}


def test_folders_come_before_what_is_in_them_and_links_are_kept(layer):
    with tarfile.open(layer.path) as tar:
        names = tar.getnames()
        assert tar.getmember("link").linkname == "/a/b"

    assert names.index("a") < names.index("a/c") < names.index("a/c/d")
    assert not any(".wh." in name for name in names)


def test_a_layer_knows_its_digest_and_size(layer):
    content = layer.path.read_bytes()
    assert (layer.digest, layer.size) == (f"sha256:{hashlib.sha256(content).hexdigest()}", len(content))


def test_what_is_neither_file_nor_folder_nor_link_is_refused(tmp_path):
    (tmp_path / "root").mkdir()
    os.mkfifo(tmp_path / "root" / "pipe")

    with pytest.raises(ValueError, match="pipe"):
        write_layer(tmp_path / "root", tmp_path / "layer.tar", Access())


def blob(opened, descriptor):
    return opened[f"blobs/{descriptor['digest'].replace(':', '/')}"]
