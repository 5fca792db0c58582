"""The world of a program test."""

import pytest

from tests.program.stage import stage


@pytest.fixture
async def world(tmp_path):
    async with stage(tmp_path) as made:
        yield made
