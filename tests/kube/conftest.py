import pytest

from controller.kube.api import Kube
from devcluster.fake import FakeCluster
from tests.kube.doubles import Script


@pytest.fixture
async def script(tmp_path):
    async with Script(tmp_path).running() as server:
        yield server


@pytest.fixture
async def cluster():
    async with FakeCluster(kubelet=False, job_controller=False) as fake:
        yield fake


@pytest.fixture
async def kube(cluster, tmp_path):
    kube = await Kube.connect(kubeconfig=str(cluster.write_kubeconfig(tmp_path / "kubeconfig")))
    yield kube
    await kube.aclose()
