"""The page of a trace in a real browser: where everything is, and what can be seen of it."""

from itertools import pairwise

import pytest
import pytest_asyncio

from controller.cli import figures, outline, page
from tests.cli.chromium import SIZE, chromium
from tests.cli.failing_run import failing_run
from tests.cli.test_terminal import span, tree

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]

LINES = """[...document.querySelectorAll('.span > .line')].map(line => {
  const bar = line.querySelector('.bars i').getBoundingClientRect();
  const room = line.querySelector('.bars').getBoundingClientRect();
  const at = line.getBoundingClientRect();
  return {id: line.parentElement.id.slice(2), name: line.querySelector('a').innerText, top: at.top,
    bottom: at.bottom, left: (bar.left - room.left) / room.width, share: bar.width / room.width,
    width: bar.width,
    seen: bar.width > 0 && bar.height > 0 && getComputedStyle(line.querySelector('.bars i')).backgroundColor};
})"""
CONTRAST = """(() => {
  const light = text => text.match(/\\d+/g).slice(0, 3).map(Number).map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const back = light(getComputedStyle(document.body).backgroundColor);
  const inks = [...document.querySelectorAll('td, th, dt, dd, p, footer, .line a, .line > span')]
    .filter(found => found.innerText && found.offsetParent)
    .map(found => light(getComputedStyle(found).color));
  return Math.min(...inks.map(ink => (Math.max(ink, back) + 0.05) / (Math.min(ink, back) + 0.05)));
})()"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def tab(tmp_path_factory):
    async with chromium(tmp_path_factory.mktemp("chromium")) as found:
        yield found


async def shown(tab, folder, made):
    file = folder / "run.html"
    file.write_text(page.page(made, live=False, drawn=0))
    await tab.open(file.as_uri())
    return file.as_uri()


async def resize(tab, width):
    await tab.ask(
        "Emulation.setDeviceMetricsOverride", width=width, height=SIZE[1], deviceScaleFactor=1, mobile=False
    )


async def test_every_span_has_a_line_and_its_bar_is_where_its_time_was(tab, tmp_path):
    made = failing_run()
    root = made.spans[0]
    address = await shown(tab, tmp_path, made)
    lines = await tab.value(LINES)
    rows = outline.rows(made)
    assert [line["id"] for line in lines] == [row.span.id for row in rows]
    for line, row in zip(lines, rows, strict=True):
        whole = root.end - root.start
        assert line["left"] == pytest.approx((row.span.start - root.start) / whole, abs=0.002)
        share = (row.span.end - row.span.start) / whole
        assert line["share"] == pytest.approx(share, abs=0.005) or line["width"] == 2
        assert line["seen"]
        assert line["name"] == ("✗ " if row.span.error is not None else "") + row.span.name
    assert all(above["bottom"] <= below["top"] + 1 for above, below in pairwise(lines))
    assert tab.complaints == []
    assert tab.fetched == [address]


async def test_what_went_wrong_looks_different_from_what_did_not(tab, tmp_path):
    made = failing_run()
    await shown(tab, tmp_path, made)
    wrong = {span.id for span in figures.errors(made)}
    colours = {True: set(), False: set()}
    for line in await tab.value(LINES):
        colours[line["id"] in wrong].add(line["seen"])
    assert len(colours[True]) == 1
    assert colours[True].isdisjoint(colours[False])


async def test_a_span_that_is_chosen_tells_all_and_only_that_one(tab, tmp_path):
    made = failing_run()
    await shown(tab, tmp_path, made)
    open_tables = "[...document.querySelectorAll('.about')].filter(t => t.offsetParent).map(t => t.innerText)"
    assert await tab.value(open_tables) == []
    pull = next(span for span in made.spans if span.name.startswith("image pull"))
    await tab.value(f"document.querySelector('#s-{pull.id} a').click()")
    await tab.until(f"location.hash === '#s-{pull.id}'")
    (said,) = await tab.value(open_tables)
    told = dict(line.split("\t", 1) for line in said.splitlines())
    for key, value in pull.attributes:
        assert told[key] == (", ".join(value) if isinstance(value, tuple) else str(value))


async def test_an_error_leads_to_its_span_even_if_that_is_folded_away(tab, tmp_path):
    made = failing_run()
    await shown(tab, tmp_path, made)
    inner = next(span for span in figures.errors(made) if span.error is not None)
    seen = f"document.getElementById('s-{inner.id}').checkVisibility()"
    attempt = next(span for span in made.spans if span.name == "attempt 1")
    await tab.value(f"document.querySelector('#s-{attempt.id} > summary > b').click()")
    await tab.until(f"!({seen})")
    await tab.value("document.querySelector('.wrongs a').click()")
    await tab.until(seen)


@pytest.mark.parametrize("width", [1400, 800])
async def test_nothing_is_wider_than_the_window(tab, tmp_path, width):
    long = "execute_tool " + "x" * 400
    await resize(tab, width)
    for made in (failing_run(), tree(span(2, 1, long, 0, 50, error="y" * 900, agent__x="z" * 900))):
        await shown(tab, tmp_path, made)
        assert await tab.value(WIDER) <= 0
    await resize(tab, SIZE[0])


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_everything_can_be_read_in_light_and_in_the_dark(tab, tmp_path, scheme):
    await tab.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    await shown(tab, tmp_path, failing_run())
    assert await tab.value(CONTRAST) >= 4.5, "WCAG 2.2, contrast (minimum), level AA"


async def test_a_page_that_is_full_of_markup_runs_none_of_it(tab, tmp_path):
    evil = (
        "</summary></details><script>document.title='gone'</script><img src=x onerror=document.title='gone'>"
    )
    address = await shown(tab, tmp_path, tree(span(2, 1, evil, 0, 1, error=evil, agent__x=evil)))
    assert "gone" not in await tab.value("document.title")
    assert evil in await tab.value("document.body.innerText")
    assert (tab.complaints, tab.fetched) == ([], [address])


async def test_the_largest_trace_is_a_page_too(tab, tmp_path):
    made = tree(*(span(n, 1, f"execute_tool {n}", n / 60, n / 60 + 1) for n in range(2, 5001)))
    await shown(tab, tmp_path, made)
    assert await tab.value("document.querySelectorAll('.span').length") == 5000
    assert await tab.value(WIDER) <= 0
