"""Tests of the chart. Those marked `chart` need Helm and kubeconform and run by `make chart` only.

After them a table says what was checked: a test adds to it with the fixture `checked`.
"""

from collections import Counter

import pytest


@pytest.fixture
def checked(record_property):
    """`checked(row, **figures)`: what this test has looked at."""

    def tell(row, **figures):
        record_property("checked", (row, figures))

    return tell


def pytest_terminal_summary(terminalreporter):
    rows = {}
    for report in terminalreporter.stats.get("passed", []):
        for name, told in report.user_properties:
            if name == "checked":
                row, figures = told
                rows.setdefault(row, Counter()).update(figures)
    if rows:
        width = max(map(len, rows))
        terminalreporter.section("the chart")
        for row, figures in rows.items():
            terminalreporter.line(
                f"{row:{width}}  " + ", ".join(f"{n} {what}" for what, n in figures.items())
            )
