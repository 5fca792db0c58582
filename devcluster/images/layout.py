"""Writes images as the OCI image-layout says: layers, configuration, manifest, index, all in one tar.

Owns: the format, and that the same folders give the same bytes: names sorted, times zero, owners and modes by
rule and not by who made the files. Never: compresses (importing is faster without), or knows the content.
"""

import hashlib
import io
import json
import os
import platform
import stat
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

INDEX: Final = "application/vnd.oci.image.index.v1+json"
MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
CONTAINERD_NAME: Final = "io.containerd.image.name"
"""The annotation from which containerd takes the image's name."""
OCI_NAME: Final = "org.opencontainers.image.ref.name"
EPOCH: Final = "1970-01-01T00:00:00Z"
ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
"""The kernel's names of machines, as the specification calls them."""
_CHUNK = 2**20


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that is written: a tar, its digest (`sha256:…`) and its size in bytes."""

    path: Path
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class Config:
    """How containers of an image start; empty means not said."""

    user: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    folder: str = "/"
    ports: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As it stands in the image's configuration."""
        said = {
            "User": self.user,
            "Env": [f"{key}={value}" for key, value in self.environment.items()],
            "Entrypoint": list(self.entrypoint),
            "Cmd": list(self.command),
            "WorkingDir": self.folder,
            "ExposedPorts": {port: {} for port in self.ports},
            "Labels": dict(self.labels),
        }
        return {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True)
class Access:
    """Owners and modes that differ by path from the rule: root's, 0644, and 0755 for folders and programs."""

    owners: Mapping[str, int] = field(default_factory=dict)
    modes: Mapping[str, int] = field(default_factory=dict)


def architecture() -> str:
    """Of this machine, in the specification's words."""
    machine = platform.machine()
    return ARCHITECTURES.get(machine, machine)


def write_layer(root: Path, path: Path, access: Access) -> Layer:
    """A layer from the folder `root`, which stands for `/`; it is read, not changed."""
    with path.open("wb") as file:
        hashed = _Hashed(file)
        with tarfile.open(fileobj=hashed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_CHUNK) as tar:
            for name in sorted(_names(root)):
                _add(tar, root, name, access)
    return Layer(path, f"sha256:{hashed.sha256.hexdigest()}", hashed.size)


def write_archive(path: Path, references: Sequence[str], config: Config, layers: Sequence[Layer]) -> None:
    """The archive of one image, known by all the `references`."""
    settings = _json(_configuration(config, layers))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": _descriptor(CONFIG, settings),
            "layers": [{"mediaType": LAYER, "digest": at.digest, "size": at.size} for at in layers],
        }
    )
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [_named(reference, manifest) for reference in references],
        }
    )
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        _put(tar, "oci-layout", _json({"imageLayoutVersion": "1.0.0"}))
        _put(tar, "index.json", index)
        for blob in (manifest, settings):
            _put(tar, _blob(_digest(blob)), blob)
        for layer in {layer.digest: layer for layer in layers}.values():
            with layer.path.open("rb") as content:
                tar.addfile(_header(_blob(layer.digest), layer.size), content)


def _configuration(config: Config, layers: Sequence[Layer]) -> dict[str, Any]:
    return {
        "created": EPOCH,
        "architecture": architecture(),
        "os": "linux",
        "config": config.document(),
        "rootfs": {"type": "layers", "diff_ids": [layer.digest for layer in layers]},
    }


def _named(reference: str, manifest: bytes) -> dict[str, Any]:
    return _descriptor(MANIFEST, manifest) | {
        "annotations": {CONTAINERD_NAME: reference, OCI_NAME: reference},
        "platform": {"architecture": architecture(), "os": "linux"},
    }


def _descriptor(kind: str, content: bytes) -> dict[str, Any]:
    return {"mediaType": kind, "digest": _digest(content), "size": len(content)}


def _names(root: Path) -> Iterator[str]:
    """Everything below `root`, as paths relative to it; links are not followed."""
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            yield (Path(folder) / name).relative_to(root).as_posix()


def _add(tar: tarfile.TarFile, root: Path, name: str, access: Access) -> None:
    place = root / name
    mode = place.lstat().st_mode
    info = tarfile.TarInfo(name)
    info.uid = info.gid = access.owners.get(f"/{name}", 0)
    info.mode = access.modes.get(f"/{name}", 0o755 if stat.S_ISDIR(mode) or mode & 0o111 else 0o644)
    if stat.S_ISLNK(mode):
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, str(place.readlink()), 0o777
    elif stat.S_ISDIR(mode):
        info.type = tarfile.DIRTYPE
    elif stat.S_ISREG(mode):
        info.size = place.stat().st_size
        with place.open("rb") as content:
            tar.addfile(info, content)
        return
    else:
        raise ValueError(f"{place} is neither a file nor a folder nor a link: it can't be part of a layer")
    tar.addfile(info)


def _header(name: str, size: int) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o644
    return info


def _put(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    tar.addfile(_header(name, len(content)), io.BytesIO(content))


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


class _Hashed(io.RawIOBase):
    """Passes on what is written, and knows its digest and size."""

    def __init__(self, file: BinaryIO) -> None:
        self.sha256 = hashlib.sha256()
        self.size = 0
        self._file = file

    def writable(self) -> bool:
        return True

    def write(self, content: Any) -> int:
        self.sha256.update(content)
        self.size += len(content)
        return self._file.write(content)
