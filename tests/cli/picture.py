"""A trace as a picture for a document: SVG, light, of fixed size. It shows what `runherd trace` shows."""

from html import escape

from controller.cli import figures
from controller.cli.outline import rows
from controller.core.spans import conventions as names

WIDTH, LINE, TOP, EDGE = 1100, 22, 74, 20
FONT = "system-ui, sans-serif"
NAMES, TOOK, SAID, BARS = EDGE, 395, 410, 520
COLOURS = {
    names.OPERATION_INVOKE_AGENT: "#7a5af8",
    names.OPERATION_CHAT: "#2e90fa",
    names.OPERATION_EXECUTE_TOOL: "#12a594",
}
FRAME, WRONG, TEXT, DIM, RULE = "#98a2b3", "#d92d20", "#1d2330", "#667085", "#e4e7ec"


def picture(tree):
    """The document."""
    found = rows(tree)
    root = found[0].span
    about = dict(root.attributes)
    height = TOP + LINE * len(found) + EDGE
    title = f"{root.name} · {about[names.RUN_PHASE]}/{about[names.RUN_REASON]}"
    label = escape(f"The trace of a run: {title}")
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="{FONT}">',
        f"<title>{label}</title>",
        f'<rect width="{WIDTH}" height="{height}" rx="8" fill="#fff" stroke="{RULE}"/>',
        text(EDGE, 32, title, size=17),
        text(EDGE, 54, f"trace {tree.trace_id}", DIM, size=11),
        text(WIDTH - EDGE, 54, figures.duration(root.end - root.start), DIM, anchor="end", size=11),
        text(BARS, 54, "0", DIM, size=11),
    ]
    for place, row in enumerate(found):
        lines += line(row, root, TOP + LINE * place)
    return "\n".join((*lines, "</svg>")) + "\n"


def line(row, root, top):
    span, below = row.span, top + LINE - 7
    wrong = span.error is not None
    room, whole = WIDTH - EDGE - BARS, root.end - root.start
    left = BARS + (span.start - root.start) * room / whole
    width = max(2, (span.end - span.start) * room / whole)
    fill = WRONG if wrong else COLOURS.get(dict(span.attributes).get(names.OPERATION), FRAME)
    yield f'<path d="M{EDGE} {top + LINE}H{WIDTH - EDGE}" stroke="{RULE}"/>'
    name = f"{'✗ ' if wrong else ''}{span.name}"
    yield text(NAMES + 15 * len(row.guides), below, name, WRONG if wrong else TEXT)
    yield text(TOOK, below, figures.duration(span.end - span.start), anchor="end")
    if said := figures.said(span):
        yield text(SAID, below, said, WRONG if wrong else DIM, size=11)
    yield f'<rect x="{left:.1f}" y="{top + 6}" width="{width:.1f}" height="11" rx="2" fill="{fill}"/>'


def text(x, y, said, fill=TEXT, *, anchor="start", size=13):
    return (
        f'<text x="{x}" y="{y}" fill="{fill}" text-anchor="{anchor}" font-size="{size}">{escape(said)}</text>'
    )
