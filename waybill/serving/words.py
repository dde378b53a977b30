"""Text that a model or its libraries made up -> text that may stand in a verdict or a log: one line that is not too long."""

from __future__ import annotations


def one_line(text: str, longest: int = 300) -> str:
    """The text with white space of any length as one space, what cannot be printed as `?`, and `...` where it is cut.

    Args:
      text: Any text.
      longest: How many characters are kept.
    """
    line = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    return line if len(line) <= longest else f"{line[:longest]} ..."
