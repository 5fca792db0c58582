"""Makes images and keeps them, by a stamp of everything that they are made from.

Owns: stamps, and the way from a recipe to an archive. Never: knows what is in an image.
"""

import dataclasses
import hashlib
import json
import shutil
import time
from pathlib import Path

from devcluster.images import debian, parts
from devcluster.images.keeping import kept
from devcluster.images.layout import Layer, architecture, write_archive, write_layer
from devcluster.images.parts import Part
from devcluster.images.recipes import RECIPES, Recipe
from devcluster.images.running import ImageError, Told

NAMES = tuple(RECIPES)


def reference(name: str) -> str:
    """The name by which manifests ask for an image, as in `localhost/runherd:dev`."""
    return references(name)[0]


def references(name: str) -> tuple[str, ...]:
    """All the names that an image has once its archive is imported."""
    return _recipe(name).references


def archive(name: str, told: Told) -> Path:
    """The archive of an image, an OCI image-layout in a tar; made anew when what it is made from has changed.

    `told` gets lines of progress. Raises ImageError, which says how to mend it.
    """
    recipe = _recipe(name)
    try:
        return _archive(name, recipe, told)
    except debian.StaleError:
        debian.update(told)
        return _archive(name, recipe, told)


def stamp(recipe: Recipe, layers: tuple[Part, ...]) -> str:
    """What all of an image depends on, as 16 hex digits."""
    from_what = json.dumps(
        [recipe.references, recipe.config.document(), [_part_stamp(part) for part in layers]]
    )
    return hashlib.sha256(from_what.encode()).hexdigest()[:16]


def _recipe(name: str) -> Recipe:
    if name not in RECIPES:
        raise ImageError(f"there is no image {name!r} of ours; there are {', '.join(NAMES)}")
    return RECIPES[name]


def _archive(name: str, recipe: Recipe, told: Told) -> Path:
    layers, file = recipe.parts(told), f"{name}.tar"

    def make(draft: Path) -> None:
        started = time.monotonic()
        told(f"making the image {name} …")
        draft.mkdir()
        written = [_layer(part, draft / part.name, told) for part in layers]
        write_archive(draft / file, recipe.references, recipe.config, written)
        for folder in draft.glob("*/"):
            shutil.rmtree(folder)
        size = (draft / file).stat().st_size / 1e6
        told(f"made the image {name} ({size:.0f} MB) in {time.monotonic() - started:.1f} s")

    return kept(f"{name}-archive", stamp(recipe, layers), make) / file


def _layer(part: Part, draft: Path, told: Told) -> Layer:
    """The layer of a part: one that is kept, or made in the folder `draft`, which goes away."""
    if not part.kept:
        return _write(part, draft, told)
    place = kept(f"{part.name}-layer", _part_stamp(part), lambda draft: _keep(part, draft, told))
    said = json.loads((place / "layer.json").read_text())
    return Layer(place / "layer.tar", said["digest"], said["size"])


def _keep(part: Part, draft: Path, told: Told) -> None:
    written = _write(part, draft, told)
    (draft / "layer.json").write_text(json.dumps({"digest": written.digest, "size": written.size}))


def _write(part: Part, folder: Path, told: Told) -> Layer:
    """Fill a root, write it as a layer to `layer.tar` in `folder`, and leave only that."""
    draft = folder / "draft"
    draft.mkdir(parents=True)
    written = write_layer(part.fill(draft, told), folder / "layer.tar", part.access)
    shutil.rmtree(draft)
    return written


def _part_stamp(part: Part) -> str:
    from_what = [parts.sources(), architecture(), part.made_from, dataclasses.asdict(part.access)]
    return hashlib.sha256(json.dumps(from_what).encode()).hexdigest()[:16]
