"""How the page of a trace looks. CSS only: it knows nothing of traces but the names of classes."""

from typing import Final

STYLE: Final = """
:root { color-scheme: light dark; --back: #fff; --text: #1d2330; --dim: #667085; --rule: #e4e7ec;
  --frame: #98a2b3; --agent: #7a5af8; --chat: #2e90fa; --tool: #12a594; --wrong: #d92d20; --fine: #079455; }
@media (prefers-color-scheme: dark) { :root { --back: #12161f; --text: #e6e9ef; --dim: #98a2b3;
  --rule: #2b3240; --frame: #667085; --agent: #9b8afb; --chat: #53b1fd; --tool: #2dd4bf; --wrong: #f97066;
  --fine: #47cd89; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 110rem; padding: 1.5rem 2rem 3rem; background: var(--back);
  color: var(--text); font: 14px/1.45 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; overflow-wrap: anywhere; }
h2, caption { font-size: 1rem; font-weight: 600; text-align: left; margin: 0; padding: 0 0 .4rem; }
header p, footer, small, .legend { color: var(--dim); margin: .2rem 0; }
code, .about { font-family: ui-monospace, monospace; font-size: .85em; }
a { color: inherit; }
.badge { font-size: .8rem; padding: .15rem .6rem; border-radius: 1rem; color: #fff; vertical-align: middle;
  background: var(--fine); }
.badge.wrong { background: var(--wrong); }
.tiles { display: flex; flex-wrap: wrap; gap: .6rem; margin: 1.2rem 0; }
.tiles div { border: 1px solid var(--rule); border-radius: .5rem; padding: .5rem .9rem; min-width: 7rem; }
.tiles dt { color: var(--dim); font-size: .8rem; }
.tiles dd { margin: 0; font-size: 1.15rem; font-weight: 600; }
.tiles small { display: block; font-size: .75rem; font-weight: 400; }
section, table { margin: 1.6rem 0 0; }
table { border-collapse: collapse; }
th, td { text-align: right; padding: .25rem .8rem; border-bottom: 1px solid var(--rule);
  font-variant-numeric: tabular-nums; vertical-align: top; overflow-wrap: anywhere; }
th:first-child { text-align: left; padding-left: 0; font-weight: inherit; }
thead th { color: var(--dim); font-weight: 400; }
.wrongs td, .wrongs th { text-align: left; }
.wrongs a { color: var(--wrong); }
.legend span { margin-right: 1rem; }
.legend i { display: inline-block; width: .8rem; height: .8rem; border-radius: .2rem; margin-right: .35rem;
  vertical-align: -1px; background: var(--kind); }
.frame { --kind: var(--frame); } .agent { --kind: var(--agent); } .chat { --kind: var(--chat); }
.tool { --kind: var(--tool); } .wrong { --kind: var(--wrong); }
.line { display: grid; grid-template-columns: minmax(14rem, 30rem) 6rem 9rem minmax(8rem, 1fr);
  gap: .6rem; align-items: center; border-bottom: 1px solid var(--rule); min-height: 1.7rem; }
.line > b { font-weight: 400; overflow: hidden; white-space: nowrap; text-overflow: ellipsis;
  padding-left: calc(var(--depth, 0) * 1rem + 1rem); position: relative; }
.line > span { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.line > span:nth-child(2) { text-align: right; font-variant-numeric: tabular-nums; }
.line > span:nth-child(3) { color: var(--dim); font-size: .85em; }
.line a { text-decoration: none; }
.line a:hover, .line a:focus { text-decoration: underline; }
.wrong > .line > b, .wrong > .line > span:nth-child(3) { color: var(--wrong); }
summary { list-style: none; cursor: pointer; }
summary::-webkit-details-marker { display: none; }
summary > b::before { content: "▸"; position: absolute; left: calc(var(--depth, 0) * 1rem);
  color: var(--dim); }
details[open] > summary > b::before { content: "▾"; }
.line > .bars { position: relative; height: 1.1rem; overflow: visible; }
.bars i { position: absolute; top: .15rem; height: .8rem; min-width: 2px; border-radius: 2px;
  background: var(--kind); }
.axis { position: sticky; top: 0; background: var(--back); color: var(--dim); z-index: 1; }
.axis .bars i { background: none; height: auto; font-style: normal; font-size: .75rem; top: 0;
  transform: translateX(-50%); }
.axis .bars i:first-child { transform: none; }
.axis .bars i:last-child { transform: translateX(-100%); }
.about { display: none; margin: .3rem 0 .6rem 1rem; }
.span:target > .about { display: table; }
.span:target > .line { background: color-mix(in srgb, var(--kind) 12%, transparent); }
.about th, .about td { text-align: left; padding: .1rem .8rem .1rem 0; border: 0; }
.about th { color: var(--dim); white-space: nowrap; }
footer { margin-top: 2rem; font-size: .85rem; }
@media print { .axis { position: static; } body { padding: 0; } }
"""
