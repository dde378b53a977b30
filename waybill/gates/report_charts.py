"""Shares, lengths and metrics -> pictures: histograms over one another, bars, dots with their intervals."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from markupsafe import Markup

from waybill.gates.report_svg import EDGE, WIDTH, Picture, at

_MARKS = {"PASS": "●", "WARN": "▲", "BLOCK": "■"}  # told by shape as well as by colour; anything else is a ring
_HEIGHT = 104.0  # of the highest bar of a histogram
_ROW = 24.0
_HUGE = 1e300  # differences of numbers up to this are still numbers
_ABSURD = 1e15  # a metric beyond this is drawn at the end of an axis that shows the others
_LEFT = 132.0  # where the axis beside the dots' labels begins


@dataclasses.dataclass(frozen=True)
class Bucket:
    """A bar of a histogram: its edges, and its share of all values, 0 to 1."""

    low: float
    high: float
    share: float


@dataclasses.dataclass(frozen=True)
class Bar:
    """A row of bars.

    Attributes:
      label: What it is about. It may come from data.
      now: Its length, 0 or more.
      before: Length of the one to compare it with, or None.
      text: The lengths in words.
      strange: Whether it is drawn as something that should not be there.
    """

    label: str
    now: float
    before: float | None
    text: str
    strange: bool = False


@dataclasses.dataclass(frozen=True)
class Dot:
    """A row with a value and its interval.

    Attributes:
      label: What it is about. It may come from data.
      value: The value; NaN for none.
      interval: Ends of its confidence interval, or None.
      outcome: What its rule says: PASS, WARN, BLOCK or anything else.
    """

    label: str
    value: float
    interval: tuple[float, float] | None
    outcome: str


def histograms(now: Sequence[Bucket], before: Sequence[Bucket], domain: tuple[float, float], says: str) -> Markup:
    """Two histograms over one another, as densities, so that bars of different widths compare.

    Args:
      now: Drawn filled.
      before: Drawn as a dashed line; may be empty.
      domain: What is drawn of the axis; what lies outside is left out.
      says: The picture in a sentence.
    """
    low, high = (min(max(end, -_HUGE), _HUGE) for end in domain)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # one value, or too near to one for arithmetic to tell its ends apart
        low, high = low - max(0.5, abs(low) * 1e-6), low + max(0.5, abs(low) * 1e-6)
    domain = low, high
    shapes = {"now": _wide_enough(now, domain), "before": _wide_enough(before, domain)}
    top = max((b.share / (b.high - b.low) for shape in shapes.values() for b in shape), default=1.0) or 1.0
    picture, floor = Picture(140, says), 116.0
    for kind, shape in shapes.items():
        points: list[tuple[float, float]] = []
        for bucket in shape:
            left, right = at(bucket.low, domain), at(bucket.high, domain)
            height = floor - bucket.share / (bucket.high - bucket.low) / top * _HEIGHT
            if kind == "before" and points and points[-1][0] == left:
                points.pop()  # a line along the tops; what is filled shows each bar
            else:
                points.append((left, floor))
            points += [(left, height), (right, height), (right, floor)]
        picture.outline(kind, points)
    picture.axis(floor, domain)
    return picture.markup()


def bars(rows: Sequence[Bar], says: str) -> Markup:
    """Rows of bars, each with its label above it; the one to compare with is a line at its length."""
    top = max((length for row in rows for length in (row.now, row.before or 0.0)), default=1.0) or 1.0
    picture = Picture(32 * len(rows) + 4, says)
    for i, row in enumerate(rows):
        y, kind = 32.0 * i, "strange" if row.strange else "now"
        picture.words(row.label, 0, y + 13, "strange" if row.strange else "", cut=32)
        picture.words(row.text, WIDTH, y + 13, "faint", "end")
        picture.box("track", 0, y + 19, WIDTH, 8)
        picture.box(kind, 0, y + 19, row.now / top * WIDTH, 8)
        if row.before is not None:
            x = min(max(row.before / top * WIDTH, 1), WIDTH - 1)
            picture.line("was", (x, y + 16), (x, y + 30))
    return picture.markup()


def dots(rows: Sequence[Dot], bounds: Sequence[float], says: str) -> Markup:
    """Rows of values with their intervals on one axis.

    Args:
      rows: The rows.
      bounds: Where a value must lie, as lines across.
      says: The picture in a sentence.
    """
    numbers = [n for row in rows for n in (row.value, *(row.interval or ()))]
    finite = [n for n in (*bounds, *numbers) if abs(n) < _ABSURD]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = max((high - low) * 0.06, max(abs(low), abs(high)) * 1e-6) or 0.05
    domain, floor = (low - room, high + room), _ROW * len(rows) + 6
    picture = Picture(floor + 24, says)
    for bound in filter(math.isfinite, bounds):
        x = at(bound, domain, _LEFT)
        picture.line("bound", (x, 2), (x, floor))
    for i, row in enumerate(rows):
        _dot(picture, _ROW * i + 15, row, domain)
    picture.axis(floor, domain, _LEFT)
    return picture.markup()


def _dot(picture: Picture, y: float, row: Dot, domain: tuple[float, float]) -> None:
    kind = row.outcome if row.outcome in _MARKS else "none"
    picture.words(row.label, 0, y + 4, cut=20)
    if row.interval and all(map(math.isfinite, row.interval)):
        start, end = (at(end, domain, _LEFT) for end in row.interval)
        picture.line(f"interval {kind}", (start, y), (max(end, start + 1), y))
    if math.isfinite(row.value):
        picture.words(_MARKS.get(row.outcome, "○"), at(row.value, domain, _LEFT), y + 4.5, f"mark {kind}", "middle")
    else:
        picture.words("no value", _LEFT + EDGE, y + 4, "faint")


def _wide_enough(buckets: Sequence[Bucket], domain: tuple[float, float]) -> list[Bucket]:
    """What lies in the domain, cut to it, with buckets that would be too thin to see joined to the next ones."""
    low, high = domain
    least = (high - low) / 100
    found: list[Bucket] = []
    for bucket in buckets:
        width, start, end = bucket.high - bucket.low, max(bucket.low, low), min(bucket.high, high)
        if end < start or not math.isfinite(width) or not bucket.share > 0:
            continue
        part = Bucket(start, end, min(bucket.share, 1.0) * ((end - start) / width if width > 0 else 1.0))
        if found and min(found[-1].high - found[-1].low, part.high - part.low) < least:
            last = found.pop()
            part = Bucket(last.low, part.high, last.share + part.share)
        found.append(part)
    return [b if b.high - b.low >= least else _widened(b, least, domain) for b in found]


def _widened(bucket: Bucket, width: float, domain: tuple[float, float]) -> Bucket:
    """A bucket that is too thin to see, made as wide as that takes."""
    low = min(max(domain[0], bucket.low - width / 2), domain[1] - width)
    return Bucket(low, low + width, bucket.share)
