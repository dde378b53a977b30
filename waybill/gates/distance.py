"""Two spreads of a feature -> how far they are from each other, and which part of it moved most.

    colour before {"Red": 0.60, "blue": 0.40}, now {"red": 0.60, "blue": 0.40}    ->    0.60, "'Red': 60.0 % before, 0.0 % now"

Rows without a value, and rows with NaN, are a bin or value of their own in both distances.
"""

from __future__ import annotations

import dataclasses
import math

from waybill.gates.bins import Bin, common_bins
from waybill.gates.data_words import quoted
from waybill.gates.spread import Spread

Sides = tuple[str, str]  # what the two spreads are called in words
BEFORE_NOW: Sides = ("before", "now")


@dataclasses.dataclass(frozen=True)
class Moved:
    """One bin or value: what it adds to the distance, and its shares before and now, in words."""

    weight: float
    says: str


@dataclasses.dataclass(frozen=True)
class Distance:
    """A distance from 0 to 1, and what moved, most first."""

    value: float
    moved: tuple[Moved, ...]


def jensen_shannon_divergence(before: Spread, now: Spread, sides: Sides = BEFORE_NOW) -> Distance:
    """The Jensen-Shannon divergence of two spreads of numbers, in bits: 0 for the same, 1 for nothing in common.

    JSD(P, Q) = (D(P, M) + D(Q, M)) / 2 with M = (P + Q) / 2 and D(P, M) = sum of p log2(p / m). Source: J. Lin, Divergence measures based
    on the Shannon entropy, IEEE Transactions on Information Theory 37 (1991), pages 145 to 151. P and Q are put on common bins first, see
    `waybill.gates.bins`.
    """
    bins = [
        Bin("missing", before.missing, now.missing),
        Bin("NaN", before.nan, now.nan),
        Bin("infinite", before.infinite, now.infinite),
        *common_bins(before, now),
    ]
    moved = [Moved(_divergence(b.before, b.now), _says(b.name, b.before, b.now, sides)) for b in bins]
    return Distance(min(1.0, math.fsum(m.weight for m in moved)), _most_first(moved))


def infinity_norm(before: Spread, now: Spread, sides: Sides = BEFORE_NOW) -> Distance:
    """The L-infinity distance of two spreads of values: the largest change of one value's share.

    A list of values may be cut after the commonest, a thousand of them unless statistics are configured otherwise. A value that is on one
    list only may then still be among the rest of the other, where its share is between nothing and that of the rarest on the list. Of the
    changes that this allows the smallest counts: a drift is never made up, and one that is missed is smaller than the rarest listed share.
    """
    moved = [Moved(abs(before.missing - now.missing), _says("missing", before.missing, now.missing, sides))]
    for value in {**before.values, **now.values}:
        old, new = before.values.get(value), now.values.get(value)
        # What is not listed is as near to the other's share as it can be.
        p = old if old is not None else min(before.unlisted, new or 0.0)
        q = new if new is not None else min(now.unlisted, old or 0.0)
        moved.append(Moved(abs(p - q), _says(quoted(value), p, q, sides, old is None and p > 0, new is None and q > 0)))
    return Distance(max(m.weight for m in moved), _most_first(moved))


def _divergence(p: float, q: float) -> float:
    """What a bin with these two shares adds to the Jensen-Shannon divergence."""
    both = p + q  # halved, the smallest number there is would be nothing
    return max(0.0, sum(share * math.log2(2 * share / both) / 2 for share in (p, q) if share > 0))


def _most_first(moved: list[Moved]) -> tuple[Moved, ...]:
    """What moved at all, most first; by name where two moved alike."""
    return tuple(sorted((m for m in moved if m.weight > 0), key=lambda m: (-m.weight, m.says)))


def _says(name: str, before: float, now: float, sides: Sides, unsure_before: bool = False, unsure_now: bool = False) -> str:
    """A bin's or value's shares in words; an unsure one is the largest that the statistics leave room for."""
    old, new = (f"{'at most ' if unsure else ''}{100 * share:.1f} %" for share, unsure in ((before, unsure_before), (now, unsure_now)))
    return f"{name}: {old} {sides[0]}, {new} {sides[1]}"
