"""House rules that no linter knows, as a check: sizes, where tasks are made, what is never async.

Run as `python -m tests.house FOLDER...`; says what breaks them, exits 1. Sizes: 400 lines a module and 40 a
function are refused; 250 and 20 are the aim, and not told.
"""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

MODULE_LINES = 400
FUNCTION_LINES = 40
MAY_MAKE_TASKS = ("controller/app.py", "controller/engine/log_follower.py")
NEVER_ASYNC = ("controller/core/", "controller/engine/store.py")


def broken(path: Path) -> Iterator[str]:
    """What of one file breaks the rules."""
    text = path.read_text("utf-8")
    lines = text.count("\n")
    if lines > MODULE_LINES:
        yield f"{path}: {lines} lines, at most {MODULE_LINES}"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _function(path, node)
        if isinstance(node, ast.Attribute) and node.attr == "create_task":
            yield from _task(path, node)


def _function(path: Path, node: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[str]:
    size = (node.end_lineno or node.lineno) - node.lineno + 1
    if size > FUNCTION_LINES:
        yield f"{path}:{node.lineno}: {node.name} has {size} lines, at most {FUNCTION_LINES}"
    if isinstance(node, ast.AsyncFunctionDef) and path.as_posix().startswith(NEVER_ASYNC):
        yield f"{path}:{node.lineno}: {node.name} is async, where nothing waits"


def _task(path: Path, node: ast.Attribute) -> Iterator[str]:
    name = path.as_posix()
    if name.startswith("controller/") and name not in MAY_MAKE_TASKS:
        yield f"{path}:{node.lineno}: makes a task; only {' and '.join(MAY_MAKE_TASKS)} do"


def main() -> None:
    """The check over all Python files of the folders given."""
    found = [
        said for name in sys.argv[1:] for path in sorted(Path(name).rglob("*.py")) for said in broken(path)
    ]
    sys.stdout.write("".join(f"{said}\n" for said in found))
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
