"""What a person writes for the record -> one line of text that is safe to keep and to show."""

from __future__ import annotations

from waybill.records.errors import RecordError

LONGEST = 500


def reason(text: str) -> str:
    """A reason, without spaces around it.

    Raises:
      RecordError: if it is blank, longer than `LONGEST` characters, or holds line breaks or other characters that cannot be printed.
    """
    words = text.strip()
    if not words:
        raise RecordError("a reason is missing; say with --why what made you decide so, for whoever asks later")
    if len(words) > LONGEST:
        raise RecordError(f"the reason has {len(words)} characters; expected at most {LONGEST}")
    if not words.isprintable():
        raise RecordError(f"the reason {words[:80]!r} holds characters that cannot be printed; expected one line of text")
    return words
