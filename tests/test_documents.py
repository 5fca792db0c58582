"""The documents say what the program does: settings, targets and files that they name exist."""

import re
from pathlib import Path

import pytest

from controller.core.contract import STORY, ErrorCode, Reason, Status
from controller.settings import PREFIX, Settings

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted(
    path for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md"))
)


def row(name: str) -> str:
    default = Settings.model_fields[name].default
    shown = str(default).lower() if isinstance(default, bool) else str(default)
    cell = "" if default in ("", ()) else f"`{shown}`"
    return f"| `{PREFIX}{name.upper()}` | {cell} | {Settings.model_fields[name].description} |"


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_readme_has_a_row_for_each_setting_as_it_is(name):
    assert row(name) in (ROOT / "README.md").read_text()


def test_the_readme_names_no_setting_that_is_not_there():
    named = set(re.findall(rf"{PREFIX}([A-Z_]+)\b", (ROOT / "README.md").read_text()))
    assert named <= {name.upper() for name in Settings.model_fields} | {"CONFIG"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_into_the_repository_leads_somewhere(document):
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)", document.read_text())
    assert [target for target in targets if not (document.parent / target).exists()] == []


def headings(document: Path) -> set[str]:
    """As GitHub names them in links."""
    found = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in found}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_to_a_section_finds_it(document):
    links = re.findall(r"\]\((?!https?:)([^)#\s]*)#([^)\s]+)\)", document.read_text())
    assert [
        link for link in links if link[1] not in headings(document.parent / (link[0] or document.name))
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_make_target_that_is_named_exists(document):
    targets = set(re.findall(r"`make ([a-z0-9]+)", document.read_text()))
    known = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert targets <= known


def test_the_contract_names_every_annotation_that_the_controller_writes():
    text = (ROOT / "docs/contract.md").read_text()
    written = [value for name, value in vars(Status).items() if name.isupper()]
    assert [value for value in written if f"`{value}`" not in text] == []


def section(begin: str, end: str) -> str:
    return (ROOT / "docs/contract.md").read_text().split(f"## {begin}", 1)[1].split(f"## {end}", 1)[0]


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z]\w+", text))


def test_the_contract_names_no_reason_that_is_not_one():
    named = set(
        re.findall(r"\b([A-Z][a-z]+(?:[A-Z][a-z]*)+|OOMKilled)\b", section("Phases and reasons", "Admission"))
    )
    assert named - {str(reason) for reason in Reason} <= {"TimedOut"}


def test_the_contract_names_every_reason_event_and_error_code():
    assert {str(reason) for reason in Reason} - words(section("Phases and reasons", "Admission")) == set()
    assert set(STORY) - words(section("Events", "Phases and reasons")) == set()
    assert {str(code) for code in ErrorCode} - words(section("The result", "Differences")) == set()


def test_the_requirements_are_hashed_and_name_no_address():
    for path in ROOT.glob("requirements/*.txt"):
        text = path.read_text()
        assert "://" not in text
        pins = re.findall(r"^[a-z0-9][a-z0-9._-]*==", text, re.MULTILINE)
        assert len(pins) == len(re.findall(r"== *[^\n]*\\\n +--hash=", text)) > 0
