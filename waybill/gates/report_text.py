"""Text that came from data -> the same text, harmless to look at: bounded, on one line, nothing invisible in it.

Escaping for HTML is the template's business; this is about what escaping leaves alone: NUL, which HTML does not allow, marks that turn the
direction of the text around them, and values as long as a book.
"""

from __future__ import annotations

import math
import unicodedata

LENGTH = 400  # characters of one text on a page
NONE = "-"  # where there is no number
_JOINERS = "\u200c\u200d"  # Persian, Indic scripts and emoji are written with them
_MARKS = 3  # accents in a row that a letter may carry; a hundred of them would be drawn over their neighbours
_ODD = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories of what is not drawn, or not as itself


def shown(text: object, length: int = LENGTH) -> str:
    """What a page shows of a text: one line of at most `length` characters, odd ones written as Python writes them in a string."""
    whole = str(text)
    kept: list[str] = []
    room, marks = length, 0
    for character in whole[:length]:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if character in "\n\r\t":
            drawn = " "
        else:
            odd = (kind in _ODD and character not in _JOINERS) or marks > _MARKS
            drawn = _escape(character) if odd else character
        room -= len(drawn)
        if room < 0:
            break
        kept.append(drawn)
    more = len(whole) - len(kept)
    return "".join(kept) + (f"… and {more} characters more" if more > 0 else "")


def number(value: float | None) -> str:
    """A number for a person; a dash for none."""
    if value is None or math.isnan(value):
        return NONE
    if not math.isfinite(value):
        return "∞" if value > 0 else "-∞"
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace(",", "\u202f")
    if abs(value) >= 1000:
        return f"{value:,.1f}".replace(",", "\u202f") if abs(value) < 1e15 else f"{value:.4g}"
    return f"{value:.4g}"


def percent(share: float) -> str:
    """A share for a person."""
    return "0 %" if share == 0 else "< 0.1 %" if 0 < share < 0.001 else f"{share:.1%}".replace("%", "\u202f%")


def _escape(character: str) -> str:
    point = ord(character)
    return f"\\x{point:02x}" if point < 0x100 else f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
