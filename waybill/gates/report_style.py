"""How a gate's page looks, on a screen of any width, light or dark, and on paper."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #16191d; --soft: #525b66; --rule: #dde1e6; --track: #eef0f3; --now: #3b76c4; --fill: #3b76c455;
  --block: #b3261e; --block-bg: #fdecea; --warn: #8a5a00; --warn-bg: #fff4dc; --pass: #1b6e3c; --pass-bg: #e6f4ea; --none: #525b66;
  --none-bg: #eceff2; --waived: #6a3fa0; --waived-bg: #f1eafa; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1d2126; --ink: #e8eaed; --soft: #a9b2bc; --rule: #343a41; --track: #2a2f35; --now: #7fb0ee; --fill: #7fb0ee55;
  --block: #ff9d94; --block-bg: #41201d; --warn: #f3c25b; --warn-bg: #3a2f14; --pass: #82d29b; --pass-bg: #183324; --none: #a9b2bc;
  --none-bg: #2a2f35; --waived: #cbaef2; --waived-bg: #30243f; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 1080px; margin: 0 auto; padding: 16px; }
h1, h2, h3, p, dl, ul { margin: 0; }
h2 { font-size: 18px; margin: 28px 0 10px; }
h3 { font-size: 15px; font-weight: 600; }
code, .name { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 13px; }
bdi { unicode-bidi: isolate; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.decision { --tone: var(--none); --back: var(--none-bg); display: flex; gap: 16px; align-items: center; padding: 18px 20px;
  border-radius: 12px; background: var(--back); border-left: 8px solid var(--tone); }
.decision .sign { flex: none; width: 46px; height: 46px; border-radius: 50%; background: var(--tone); color: var(--card); display: grid;
  place-items: center; font-size: 26px; font-weight: 700; line-height: 1; }
.decision h1 { font-size: 28px; line-height: 1.15; color: var(--tone); }
.BLOCK, .BLOCKED { --tone: var(--block); --back: var(--block-bg); }
.WARN { --tone: var(--warn); --back: var(--warn-bg); }
.PASS { --tone: var(--pass); --back: var(--pass-bg); }
.WAIVED { --tone: var(--waived); --back: var(--waived-bg); }
.counts { display: flex; flex-wrap: wrap; gap: 8px; margin: 14px 0 0; padding: 0; list-style: none; }
.counts a { --tone: var(--none); --back: var(--none-bg); display: block; padding: 4px 12px; border-radius: 999px; color: var(--tone);
  background: var(--back); text-decoration: none; font-weight: 600; font-size: 13px; }
.counts a:hover, .counts a:focus-visible { outline: 2px solid var(--tone); }
.counts .BLOCK { --tone: var(--block); --back: var(--block-bg); }
.counts .WARN { --tone: var(--warn); --back: var(--warn-bg); }
.counts .PASS { --tone: var(--pass); --back: var(--pass-bg); }
.counts .WAIVED { --tone: var(--waived); --back: var(--waived-bg); }
.facts { display: flex; flex-wrap: wrap; gap: 10px 32px; margin-top: 16px; }
.facts dt, .found dt { color: var(--soft); font-size: 12px; }
.facts dd, .found dd { margin: 0; }
.rule { --tone: var(--none); padding: 12px 16px; margin-bottom: 10px; border: 1px solid var(--rule); border-left: 4px solid var(--tone);
  border-radius: 8px; background: var(--card); break-inside: avoid; }
.rule.BLOCK { --tone: var(--block); }
.rule.WARN { --tone: var(--warn); }
.rule.PASS { --tone: var(--pass); }
.rule.WAIVED { --tone: var(--waived); }
.rule .name { color: var(--soft); }
.found { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: 6px 20px; margin-top: 6px; }
.rule ul { margin-top: 6px; padding-left: 18px; color: var(--soft); font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(300px, 100%), 1fr)); gap: 12px; align-items: start; }
figure { margin: 0; padding: 12px 16px; border: 1px solid var(--rule); border-radius: 8px; background: var(--card); break-inside: avoid;
  min-width: 0; }
figure.urgent { border-color: var(--block); box-shadow: inset 0 3px var(--block); }
figure svg { display: block; width: 100%; max-width: 420px; height: auto; margin: 8px 0 4px; overflow: visible; }
figcaption p { color: var(--soft); font-size: 12px; }
.problem { color: var(--warn); }
.tag { color: var(--block); font-size: 12px; font-weight: 600; }
details { border: 1px solid var(--rule); border-radius: 8px; background: var(--card); padding: 8px 16px; }
figure details { border: 0; padding: 0; }
summary { cursor: pointer; font-weight: 600; }
figure summary { font-size: 12px; font-weight: 400; color: var(--soft); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 13px; margin-top: 8px; }
th, td { text-align: left; vertical-align: top; padding: 4px 10px 4px 0; border-top: 1px solid var(--rule); min-width: 70px; }
td.name { min-width: 170px; }
th { color: var(--soft); font-weight: 600; border-top: 0; }
figure td + td, figure th { white-space: nowrap; font-variant-numeric: tabular-nums; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 12px; margin: -4px 0 10px; }
svg .t { fill: var(--ink); font: 11px system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
svg .faint { fill: var(--soft); }
svg text.strange { fill: var(--block); font-weight: 600; }
svg .track { fill: var(--track); }
svg rect.now { fill: var(--now); }
svg rect.strange { fill: var(--block); }
svg polyline.now { fill: var(--fill); stroke: var(--now); stroke-width: 1; }
svg polyline.before { fill: none; stroke: var(--ink); stroke-width: 1.4; stroke-dasharray: 4 3; }
svg .was { stroke: var(--ink); stroke-width: 2; }
svg .axis { stroke: var(--soft); stroke-width: 1; }
svg .bound { stroke: var(--ink); stroke-width: 1.3; stroke-dasharray: 5 3; }
svg .interval { stroke: var(--none); stroke-width: 2.5; stroke-opacity: .55; stroke-linecap: round; }
svg .mark { font-size: 13px; fill: var(--none); }
svg line.PASS { stroke: var(--pass); } svg text.PASS { fill: var(--pass); }
svg line.WARN { stroke: var(--warn); } svg text.WARN { fill: var(--warn); }
svg line.BLOCK { stroke: var(--block); } svg text.BLOCK { fill: var(--block); }
footer { margin: 28px 0 8px; color: var(--soft); font-size: 12px; }
@media (max-width: 520px) { main { padding: 10px; } .decision { padding: 14px; } .decision h1 { font-size: 22px; } }
@media print { :root { color-scheme: light; } body { background: #fff; font-size: 11px; } main { max-width: none; padding: 0; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; } .counts { display: none; }
  section > details::details-content { content-visibility: visible; block-size: auto; } }
"""
