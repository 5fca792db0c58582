"""Fixtures of the tests of the folds."""

import pytest

from tests.core.agents import agent_transcript


@pytest.fixture
def transcript():
    return agent_transcript.Transcript()


@pytest.fixture
def text():
    return agent_transcript.Transcript("text")


@pytest.fixture
def recorded():
    return agent_transcript.lines_of
