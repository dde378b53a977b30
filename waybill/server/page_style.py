"""How the server's page looks, on a screen of any width, light or dark."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark;
  --page: #f6f7f9; --card: #fff; --ink: #16191d; --soft: #525b66; --rule: #dde1e6; --line: #838c97; --track: #eef0f3; --now: #2a62ac;
  --on-now: #fff; --block: #b3261e; --pass: #1b6e3c; --warn: #8a5a00; }
@media (prefers-color-scheme: dark) { :root {
  --page: #14171a; --card: #1d2126; --ink: #e8eaed; --soft: #a9b2bc; --rule: #343a41; --line: #7d8792; --track: #2a2f35; --now: #7fb0ee;
  --on-now: #10151b; --block: #ff9d94; --pass: #82d29b; --warn: #f3c25b; } }
* { box-sizing: border-box; }
[hidden] { display: none; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
  overflow-wrap: anywhere; }
main { max-width: 1080px; margin: 0 auto; padding: 16px; }
h1, h2, h3, p { margin: 0; }
h1 { font-size: 26px; line-height: 1.2; }
h2 { font-size: 20px; margin: 28px 0 8px; }
h3 { font-size: 15px; }
code, .code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; font-size: 13px; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.card { margin-top: 12px; padding: 14px 16px; border: 1px solid var(--rule); border-radius: 8px; background: var(--card); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { text-align: left; vertical-align: top; padding: 5px 12px 5px 0; border-top: 1px solid var(--rule); }
th { color: var(--soft); font-weight: 600; border-top: 0; white-space: nowrap; }
td.code { white-space: nowrap; }
.label { display: inline-block; padding: 0 8px; border: 1px solid var(--now); border-radius: 999px; color: var(--now); font-size: 13px; }
.state { color: var(--warn); font-weight: 600; font-size: 13px; }
.state.AVAILABLE { color: var(--pass); }
.state.END { color: var(--block); }
.fields { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(240px, 100%), 1fr)); gap: 12px 18px; margin: 12px 0; }
.field { min-width: 0; }
.wide { grid-column: 1 / -1; }
.field > label { font-weight: 600; }
input, select, textarea, button { font: inherit; color: inherit; background: var(--card); border: 1px solid var(--line); border-radius: 6px;
  padding: 6px 8px; max-width: 100%; }
.value { width: 100%; min-height: 38px; }
button { min-height: 38px; padding: 6px 16px; cursor: pointer; }
button[type=submit] { background: var(--now); border-color: var(--now); color: var(--on-now); font-weight: 600; }
button:disabled { opacity: .6; cursor: default; }
:focus-visible { outline: 3px solid var(--now); outline-offset: 2px; }
[aria-invalid=true] { border-color: var(--block); }
.wrong { color: var(--block); }
.draw { display: flex; flex-wrap: wrap; gap: 16px; margin-top: 6px; }
canvas { width: 280px; height: auto; aspect-ratio: 1; max-width: 100%; border: 1px solid var(--line); border-radius: 6px;
  touch-action: none; cursor: crosshair; }
canvas.over { outline: 3px dashed var(--now); }
.tools { display: flex; flex-direction: column; gap: 10px; align-items: flex-start; min-width: 0; max-width: 100%; }
.tools label { display: block; max-width: 100%; }
.file { width: 22em; }
.answers { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(260px, 100%), 1fr)); gap: 14px; }
.answer { margin-top: 12px; padding: 12px 14px; border-radius: 8px; background: var(--track); min-width: 0; }
.answer h4 { margin: 0; font-size: 14px; }
.score { font-size: 26px; font-weight: 650; font-variant-numeric: tabular-nums; line-height: 1.3; }
.bars { list-style: none; margin: 6px 0 0; padding: 0; }
.bars li { display: grid; grid-template-columns: 2.2em 1fr 4.6em; gap: 8px; align-items: center; font-size: 13px;
  font-variant-numeric: tabular-nums; }
.bars .rail { height: 12px; background: var(--card); border-radius: 3px; overflow: hidden; }
.bars .bar { display: block; height: 100%; background: var(--line); }
.bars .top { font-weight: 700; }
.bars .top .bar { background: var(--now); }
.bars .figure { text-align: right; }
footer { margin: 28px 0 8px; color: var(--soft); font-size: 12px; }
@media (max-width: 520px) { main { padding: 10px; } h1 { font-size: 22px; } .card { padding: 12px; } }
"""
