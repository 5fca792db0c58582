"""A fake cluster without controllers, and calls to it, for every test that wants no more.

Examples of properties are the same in every run, so that what passed here passes elsewhere; RUNHERD_EXPLORE
(`make explore`) looks for others.
"""

import os

import anyio
import hypothesis
import pytest

from controller.kube.api import Kube
from devcluster.fake import FakeCluster

# kr8s asks for it late, and anyio loads it then: pytest rewrites its source, which CPython 3.11 fails to do
# (SystemError: AST constructor recursion depth mismatch) when the garbage of a test is collected meanwhile.
# Hypothesis' plugin asks for hypothesis as late as for the summary.
assert anyio.open_file
assert hypothesis.settings

hypothesis.settings.register_profile("the same", derandomize=True)
if not os.environ.get("RUNHERD_EXPLORE"):
    hypothesis.settings.load_profile("the same")


@pytest.fixture
async def cluster():
    async with FakeCluster(kubelet=False, job_controller=False) as fake:
        yield fake


@pytest.fixture
async def kube(cluster, tmp_path):
    kube = await Kube.connect(kubeconfig=str(cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    yield kube
    await kube.aclose()
