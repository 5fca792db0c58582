"""The cluster of pytest-kind's `kind_cluster`, with runherd installed on it by its chart."""

import itertools
import os
import secrets
import sys
import time
from pathlib import Path

import pytest

from e2e.agent_runs import MESSAGES, make_messages, url_of
from e2e.apiserver import ApiServer
from e2e.collector import Collector
from e2e.installation import Installation, values
from e2e.machine import Machine
from e2e.recording import Recording
from e2e.stage import Stage

_numbers = itertools.count(1)


def told(text):
    """Progress, past pytest's capture."""
    print(f"e2e: {text}", file=sys.__stderr__, flush=True)


@pytest.fixture(scope="session")
def machine(request, kind_cluster):
    """The machine below the cluster."""
    kind = "kind" if os.environ.get("CLUSTER") == "kind" else "real"
    return Machine(kind, request.config.getoption("cluster_name"))


@pytest.fixture(scope="session")
def kubeconfig(kind_cluster):
    """That of the cluster's admin."""
    return Path(kind_cluster.kubeconfig_path).resolve()


@pytest.fixture(scope="session")
def api(kubeconfig):
    """Calls as the admin."""
    server = ApiServer(kubeconfig)
    yield server
    server.close()


@pytest.fixture(scope="session")
def recording(kubeconfig):
    """Every write to Jobs and Pods."""
    with Recording(kubeconfig) as made:
        yield made


@pytest.fixture(scope="session")
def collector(machine):
    """Where the controller sends its traces."""
    with Collector(machine.host) as made:
        yield made


@pytest.fixture(scope="session")
def images(machine):
    """Those that the tests' pods need, in the cluster."""
    began = time.monotonic()
    machine.load("controller", "agent", "messages", "busybox")
    told(f"images loaded in {time.monotonic() - began:.1f} s")


@pytest.fixture(scope="session")
def installation(api, collector, images):
    """runherd, installed and ready."""
    made = Installation(api)
    began = time.monotonic()
    made.install(values(collector.url))
    told(f"chart installed in {time.monotonic() - began:.1f} s")
    return made


def opened(api, recording, collector):
    """A namespace of its own, for as long as it is needed."""
    made = Stage(f"e2e-{next(_numbers)}-{secrets.token_hex(2)}", api, recording, collector)
    made.open()
    yield made
    made.close()


@pytest.fixture(scope="module")
def stage(api, recording, collector, installation):
    """A namespace for the runs of one module."""
    yield from opened(api, recording, collector)


@pytest.fixture(scope="module")
def messages_url(stage, api):
    """Where runs of the module's namespace reach the stand-in of the Messages API."""
    api.create("pods", stage.namespace, make_messages())
    return stage.until(lambda: url_of(api.get("pods", stage.namespace, MESSAGES)), 60)


@pytest.fixture
def another_stage(api, recording, collector, installation):
    """A second namespace, for the runs of one test."""
    yield from opened(api, recording, collector)
