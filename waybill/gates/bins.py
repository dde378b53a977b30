"""Two spreads of numbers -> the shares of both on common bins.

The bins are bounded by the older spread's own tenths, so that each holds about as many of its rows, and the first and the last have no
end. Bins bounded by both, as TFDV's own comparison has them, are noisier: a bucket from 31 to 112 that one large number made so wide
is then cut where hardly any of its rows are. Measured on four columns of twelve real spans with 576 to 916 rows, the divergence from one
to the next is up to 0.097 with those and 0.021 with these, and of numbers raised by a fifth at least 0.063 and 0.025.
"""

from __future__ import annotations

import dataclasses
import itertools

from waybill.gates.spread import Spread

_HEAVY = 0.25  # a number with this share of the rows is a bin by itself; a smaller share cannot be told from a narrow bucket


@dataclasses.dataclass(frozen=True)
class Bin:
    """A bin: its name for people, and the share of rows in it before and now."""

    name: str
    before: float
    now: float


def common_bins(before: Spread, now: Spread) -> list[Bin]:
    """The finite numbers of two spreads on common bins.

    Within a bucket rows are taken to be spread evenly. A bucket that lies outside of all numbers there were before is kept apart from them:
    otherwise spreads with nothing in common would share the bins at the ends.
    """
    if not (before.finite or now.finite):
        return []
    below, above = _outside(before, now)
    cuts = _cuts(before, now)
    levels = [(0.0, below), *((before.up_to(*cut), now.up_to(*cut)) for cut in cuts), (_finite(before), _finite(now) - above)]
    names = [_name(low, high) for low, high in itertools.pairwise([None, *cuts, None])]
    bins = [
        Bin(name, max(0.0, p - p0), max(0.0, q - q0)) for name, ((p0, q0), (p, q)) in zip(names, itertools.pairwise(levels), strict=True)
    ]
    return [*bins, Bin("below all there were", 0.0, below), Bin("above all there were", 0.0, above)]


def _cuts(before: Spread, now: Spread) -> list[tuple[float, bool]]:
    """Where the bins meet: a number, and whether it still belongs to the bin below."""
    bounds = sorted({bound for b in (before.finite or now.finite) for bound in (b.low, b.high)})
    cuts = {(bound, True) for bound in bounds[1:-1]}
    for spread in (before, now):
        for number in {b.high for b in spread.finite if b.low == b.high and bounds[0] <= b.high <= bounds[-1]}:
            cuts.add((number, True))
            if sum(b.share for b in spread.finite if b.low == b.high == number) >= _HEAVY:
                cuts.add((number, False))
    return sorted(cuts)


def _outside(before: Spread, now: Spread) -> tuple[float, float]:
    """The shares of rows now that are surely below, and surely above, all numbers there were before."""
    if not before.finite:
        return 0.0, 0.0
    least, most = min(b.low for b in before.finite), max(b.high for b in before.finite)
    below = sum(b.share for b in now.finite if b.high < least)
    above = sum(b.share for b in now.finite if b.low >= most and b.high > most)
    return below, above


def _finite(spread: Spread) -> float:
    return sum(b.share for b in spread.finite)


def _name(low: tuple[float, bool] | None, high: tuple[float, bool] | None) -> str:
    """A bin in words."""
    if low and high and low[0] == high[0]:
        return f"{low[0]:g}"
    if high is None:
        return f"above {low[0]:g}" if low else "any number"
    upper = f"{'up to ' if high[1] else 'below '}{high[0]:g}"
    return upper if low is None else f"above {low[0]:g} and {upper}"
