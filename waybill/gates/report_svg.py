"""Lines, boxes and words -> inline SVG. Colours are the page's, by class.

Pictures are 320 units wide, about as many pixels as a phone has, so that their letters stay legible everywhere; a page sets several side by
side where there is room. Everything goes through an XML writer, which escapes it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from markupsafe import Markup

from waybill.gates.report_text import number, shown

WIDTH = 320.0
EDGE = 10.0  # kept free on both sides of an axis
_LETTER = 6.5  # about the width of one


class Picture:
    """A picture that is being drawn.

    Args:
      height: In units, of which it is `WIDTH` wide.
      says: The picture in a sentence, for those who do not see it.
    """

    def __init__(self, height: float, says: str):
        box = f"0 0 {WIDTH:.0f} {height:.0f}"
        self._root = ET.Element("svg", {"viewBox": box, "role": "img", "aria-label": shown(says)})

    def markup(self) -> Markup:
        """The picture as text: what the XML writer wrote is safe to put into a page as it is."""
        return Markup(ET.tostring(self._root, encoding="unicode"))

    def line(self, kind: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """A line between two points."""
        points = {"x1": start[0], "y1": start[1], "x2": end[0], "y2": end[1]}
        self._add("line", kind, points)

    def box(self, kind: str, x: float, y: float, width: float, height: float) -> None:
        """A box with round corners."""
        self._add("rect", kind, {"x": x, "y": y, "width": max(width, 0.0), "height": height, "rx": 2.0})

    def outline(self, kind: str, points: Sequence[tuple[float, float]]) -> None:
        """A line through points, which the page may fill."""
        if points:
            ET.SubElement(self._root, "polyline", {"class": kind, "points": " ".join(f"{x:.1f},{y:.1f}" for x, y in points)})

    def words(self, text: str, x: float, y: float, kind: str = "", anchor: str = "start", cut: int = 40) -> None:
        """Words, cut to `cut` characters with the whole in a tooltip. They may come from data."""
        element = self._add("text", f"t {kind}".strip(), {"x": x, "y": y})
        element.set("text-anchor", anchor)
        whole = shown(text)
        element.text = whole if len(whole) <= cut else whole[: cut - 1] + "…"
        if len(whole) > cut:
            ET.SubElement(element, "title").text = whole

    def axis(self, y: float, domain: tuple[float, float], left: float = EDGE) -> None:
        """A line with round numbers on it, as many as there is room for."""
        self.line("axis", (left, y), (WIDTH - EDGE, y))
        taken = 0.0
        for tick in ticks(*domain, about=5 if left < 100 else 4):
            x, half = at(tick, domain, left), len(number(tick)) * _LETTER / 2
            self.line("axis", (x, y), (x, y + 4))
            middle = min(max(x, half), WIDTH - half)
            if middle - half > taken:
                self.words(number(tick), middle, y + 17, "faint", "middle")
                taken = middle + half + _LETTER

    def _add(self, tag: str, kind: str, numbers: dict[str, float]) -> ET.Element:
        return ET.SubElement(self._root, tag, {"class": kind, **{name: f"{value:.1f}" for name, value in numbers.items()}})


def at(value: float, domain: tuple[float, float], left: float = EDGE) -> float:
    """Where a value is on an axis; at its end when it lies outside."""
    low, high = domain
    return left + (min(max(value, low), high) - low) / (high - low) * (WIDTH - EDGE - left)


def ticks(low: float, high: float, about: int) -> list[float]:
    """Round numbers in a range: multiples of 1, 2 or 5 times a power of ten."""
    raw = (high - low) / about
    if not (math.isfinite(raw) and raw > 0):
        return []
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * times for times in (1, 2, 5, 10, 20) if power * times >= raw)
    first = math.ceil(low / step)
    return [round(i * step, 12) for i in range(first, math.floor(high / step) + 1)][: 2 * about + 1]
