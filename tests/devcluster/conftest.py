"""Clusters for the tests of the fake cluster."""

import pytest

from devcluster.fake import Backoff, FakeCluster, Options
from tests.devcluster.fake_api import QUICK, serving


@pytest.fixture
async def api():
    """A cluster without controllers: what is written stays as it is."""
    async with serving(kubelet=False, job_controller=False) as client:
        yield client


@pytest.fixture
async def cluster():
    """A whole cluster, with short backoffs."""
    async with FakeCluster(options=Options(timing=QUICK, job_backoff=Backoff(base=0.05))) as running:
        yield running
