"""The table of values in the chart's README, made of the `# --` lines of values.yaml.

`python -m tests.chart.readme` writes it anew; a test compares them. It knows only as much YAML as that file
has.
"""

import json
import re
import sys
from pathlib import Path
from typing import NamedTuple

import yaml

CHART = Path(__file__).resolve().parents[2] / "charts" / "runherd"
README = CHART / "README.md"
BEGIN = "<!-- values: made by `python -m tests.chart.readme` -->"
END = "<!-- end of values -->"
KEY = re.compile(r"^(?P<indent> *)(?P<key>\w+):")


class Value(NamedTuple):
    """One value that can be set. `key`: with dots."""

    key: str
    default: object
    meaning: str


def documented(text):
    """The values that have a `# --` line, in the order of the file."""
    defaults = yaml.safe_load(text)
    found, path, meaning = [], [], ""
    for line in text.splitlines():
        comment, key = line.strip(), KEY.match(line)
        if comment.startswith("# -- "):
            meaning = comment.removeprefix("# -- ")
        elif key:
            path = [*path[: len(key["indent"]) // 2], key["key"]]
            if meaning:
                found.append(Value(".".join(path), _at(defaults, path), meaning))
            meaning = ""
        else:
            meaning = ""
    return found


def undocumented(text):
    """Values that nothing is said of: neither on themselves nor on a map that they are in."""
    said = [value.key for value in documented(text)]
    return [
        key
        for key in _leaves(yaml.safe_load(text))
        if not any(key == known or key.startswith(f"{known}.") for known in said)
    ]


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def _leaves(tree, before=""):
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{before}{key}.")
        else:
            yield f"{before}{key}"


def table(text):
    """All values as a Markdown table."""
    rows = [f"| `{v.key}` | `{_shown(v.default)}` | {_cell(v.meaning)} |" for v in documented(text)]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows])


def _shown(default):
    return _cell(json.dumps(default, ensure_ascii=False))


def _cell(text):
    return text.replace("|", "\\|")


def filled(readme, text):
    """The README with the table of these values in its place."""
    head, _, rest = readme.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n{table(text)}\n{END}{tail}"


if __name__ == "__main__":
    README.write_text(filled(README.read_text(), (CHART / "values.yaml").read_text()))
    sys.stdout.write(f"wrote {README.name}\n")
