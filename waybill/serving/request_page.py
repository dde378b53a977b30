"""A request to serve a release -> what a person reads before they agree, as Markdown.

What people and data made up is shown as it is: no character of it is markup to whoever renders the page, so it can neither look like a part
of the page nor have a browser fetch anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from waybill.launch.errors import LaunchError
from waybill.records.errors import RecordError
from waybill.records.graph import Graph
from waybill.records.settings import Settings
from waybill.records.verdict import RuleOutcome, Verdict
from waybill.serving import releases
from waybill.serving.releases import Release
from waybill.serving.requests import Request
from waybill.serving.words import one_line
from waybill.store.connection import Store

_MOST = 12  # metrics that are shown; the gate's report has all
_MARKUP = re.compile(r"([\\`*_{}\[\]()#+.!|<>~:@&-])")


def subject(request: Request, release: Release) -> str:
    """The question, in a line."""
    instead = f", instead of {request.stable}" if request.stable else ""
    return f"Serve release {release.version} of {release.model}, {_interval(release)}{instead}?"


def page(request: Request, release: Release, graph: Graph, settings: Settings, store: Store) -> str:
    """What is asked for, by whom, what it would replace, and what the gates said of it."""
    rows = [
        ("release", f"{release.version}, generation {release.generation} of {_interval(release)}"),
        ("instead of", _replaced(request, release, store)),
        ("asked for by", request.who),
        ("why", request.why),
        ("run", release.run),
    ]
    lines = [row("", ""), "|---|---|", *(row(*cells) for cells in rows)]
    try:
        verdicts = releases.verdicts(release, graph, settings, store)
    except (LaunchError, RecordError) as error:
        return "\n".join([*lines, "", shown(f"The verdicts cannot be read, so it will be refused: {error}")])
    lines += [row(verdict.gate, _said(verdict)) for verdict in verdicts]
    return "\n".join([*lines, *_metrics(verdicts), "", _FOOT])


def shown(text: str) -> str:
    """Any text on one line of Markdown in which nothing of it is markup."""
    return _MARKUP.sub(r"\\\1", one_line(text))


def row(*cells: str) -> str:
    """A row of a table of Markdown."""
    return f"| {' | '.join(map(shown, cells))} |"


def _interval(release: Release) -> str:
    start, end = (f"{moment:%Y-%m-%d %H:%M}".removesuffix(" 00:00") for moment in (release.interval.start, release.interval.end))
    return f"{start} to {end}"


def _replaced(request: Request, release: Release, store: Store) -> str:
    if not request.stable:
        return "nothing, since nothing is served"
    before = releases.find(store, release.model, request.stable)
    newer = ", a newer interval than its own" if release.interval.end < before.interval.end else ""
    return f"{before.version}, of {_interval(before)}{newer}"


def _said(verdict: Verdict) -> str:
    waived = [rule for rule in verdict.rules if rule.outcome is RuleOutcome.WAIVED]
    numbers = sorted({str(rule.waiver.number) for rule in verdict.on_waivers() if rule.waiver})
    on = f", {len(waived)} let pass by waiver {', '.join(numbers)}" if numbers else ""
    warned = sum(rule.outcome is RuleOutcome.WARN for rule in verdict.rules)
    rules = f"{len(verdict.rules)} rule{'' if len(verdict.rules) == 1 else 's'}"
    return f"{verdict.decision.value}, {rules}{on}" + (f", {warned} with a warning" if warned else "")


def _metrics(verdicts: Sequence[Verdict]) -> Iterator[str]:
    """The metrics over all examples, against what the policy wants."""
    overall = [
        rule
        for verdict in verdicts
        for rule in verdict.rules
        if rule.name.startswith("metrics.") and rule.subject.lower().startswith("overall")
    ]
    if not overall:
        return
    yield from ("", "| metric | found | wanted | |", "|---|---|---|---|")
    for rule in overall[:_MOST]:
        yield row(rule.name.removeprefix("metrics."), rule.found, rule.expected, rule.outcome.value)


_FOOT = (
    "Each gate's whole report is in its task's tab *Report*. Whoever asked cannot agree; the verdicts and the bytes are checked once more."
)
