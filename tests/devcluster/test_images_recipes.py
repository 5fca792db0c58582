"""What our images are called, and that the controller's is the one of the Dockerfile."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from devcluster import images
from devcluster.images.recipes import PYTHON, RECIPES

TREE = Path(__file__).parents[2]


def dockerfile():
    """The instructions of the Dockerfile's last stage, and their arguments; of several alike the last."""
    text = (TREE / "Dockerfile").read_text().rpartition("\nFROM ")[2]
    return dict(re.findall(r"^([A-Z]+) (.*)$", text, re.MULTILINE))


def pairs(text):
    return dict(word.split("=", 1) for word in shlex.split(text))


def test_the_controllers_image_starts_as_the_dockerfile_says():
    said, config = dockerfile(), RECIPES["controller"].config

    assert config.user == said["USER"]
    assert config.folder == said["WORKDIR"]
    assert list(config.entrypoint) == yaml.safe_load(said["ENTRYPOINT"])
    assert config.ports == (f"{said['EXPOSE']}/tcp",)
    assert config.labels == pairs(said["LABEL"])


def test_the_controllers_environment_is_the_dockerfiles_and_that_of_the_image_it_builds_on():
    assert RECIPES["controller"].config.environment == PYTHON | pairs(dockerfile()["ENV"])


def test_every_image_has_names_and_no_two_share_one():
    named = [reference for name in images.NAMES for reference in images.references(name)]

    assert set(images.NAMES) >= {"pause", "busybox", "controller", "messages", "agent"}
    assert len(set(named)) == len(named)
    assert images.reference("controller") == "localhost/runherd:dev"
    assert all(images.reference(name).startswith("localhost/") for name in images.NAMES)


def test_what_the_examples_ask_for_is_there_under_the_name_they_use():
    asked = {
        container["image"]
        for path in (TREE / "examples/runs").glob("*.yaml")
        for document in yaml.safe_load_all(path.read_text())
        if document["kind"] == "Job"
        for container in document["spec"]["template"]["spec"]["containers"]
        if container.get("imagePullPolicy") != "Never"  # 07 asks for an image that nobody has
    }

    assert {f"docker.io/library/{name}" for name in asked} <= set(images.references("busybox"))


def test_an_image_that_is_not_ours_is_refused_with_the_names_of_those_that_are():
    with pytest.raises(images.ImageError, match=r"no image 'nginx'.*controller"):
        images.archive("nginx", print)
