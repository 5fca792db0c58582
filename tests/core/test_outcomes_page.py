"""docs/outcomes.md says what the code does, of every reason."""

import re

import pytest

from controller.core.contract import Phase, Reason
from controller.core.verdict import Finding
from tests.core import outcomes_page
from tests.core.outcomes_page import ENDED, LIVE, PAGE, REJECTED

CONTRACT = (PAGE.parent / "contract.md").read_text()


def reasons_of(*phases):
    """As the contract lists them."""
    rows = re.findall(r"^\| (\w+) \| ([\w, ]+) \|$", CONTRACT, re.MULTILINE)
    return {word for phase, words in rows if phase in phases for word in words.split(", ")}


def test_the_page_is_the_one_that_the_code_makes():
    assert PAGE.read_text() == outcomes_page.page(), "run python -m tests.core.outcomes_page"


def test_every_reason_is_told():
    assert set(ENDED) | set(REJECTED) | set(LIVE) == set(Reason)


def test_each_reason_is_told_where_the_contract_has_it():
    assert reasons_of("Succeeded", "Failed", "TimedOut", "Cancelled") <= set(ENDED)
    assert reasons_of("Rejected") == set(REJECTED)
    assert reasons_of("Queued", "Attached", "Starting", "Running", "Finishing") <= set(LIVE)


@pytest.mark.parametrize("reason", ENDED)
def test_only_a_success_asks_nothing_of_its_host(reason):
    assert (Finding(reason, "").phase in (Phase.SUCCEEDED, Phase.CANCELLED)) or ENDED[reason][1] != "Nothing."
