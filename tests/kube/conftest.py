import pytest

from tests.kube.doubles import Script


@pytest.fixture
async def script(tmp_path):
    async with Script(tmp_path).running() as server:
        yield server
