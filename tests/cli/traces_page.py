"""What docs/traces.md and docs/trace.svg show of a failing run.

`python -m tests.cli.traces_page` draws them anew; a test compares them.
"""

import re
from pathlib import Path

from controller.cli import terminal
from tests.cli.failing_run import failing_run
from tests.cli.picture import picture

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE, PICTURE = DOCS / "traces.md", DOCS / "trace.svg"
DRAWN = re.compile(r"(?<=<!-- drawn by python -m tests\.cli\.traces_page -->\n```\n).*?(?=```)", re.DOTALL)
WIDTH = 118


def drawing():
    """As the terminal shows it."""
    tree = failing_run()
    lines = (*terminal.heading(tree), "", *terminal.draw(tree, WIDTH, colour=False))
    return "".join(f"{line}\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(DRAWN.sub(lambda _: drawing(), PAGE.read_text()))
    PICTURE.write_text(picture(failing_run()))
