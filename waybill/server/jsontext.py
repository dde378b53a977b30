"""A request's body -> the JSON in it, as TensorFlow Serving reads it.

NaN and Infinity are numbers, what follows the document is not looked at, and nesting may be of any depth. Python's own parser does it where
it can. Where it gives up, for the nesting or because it is no JSON, the one here goes through the text without recursion, and says what
RapidJSON would.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

from waybill.server.errors import invalid

_DECODER = json.JSONDecoder()
_SPACE = re.compile(r"[ \t\n\r]*")
_SPACES = frozenset(" \t\n\r")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WORDS = {
    "null": None, "true": True, "false": False, "NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf, "Inf": math.inf,
    "-Inf": -math.inf, "-NaN": math.nan,
}  # fmt: skip
_LONGEST_SHOWN = 256  # characters of a value in an error


def parse(body: bytes) -> Any:
    """The value of a document.

    Raises:
      RequestError: INVALID_ARGUMENT, with the place, if it is none.
    """
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    text = body.decode("utf-8", "surrogateescape").lstrip("\ufeff")
    start = _SPACE.match(text).end()  # type: ignore[union-attr]
    try:
        return _DECODER.raw_decode(text, start)[0]
    except (ValueError, RecursionError):
        return _Reader(text, start).read()


def shown(value: Any) -> str:
    """A value as an error shows it, at most 256 characters of it."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(", ", ": "))[:_LONGEST_SHOWN]
    except (RecursionError, ValueError, TypeError):
        return "..."


def kind(value: Any) -> str:
    """RapidJSON's word for what a value is."""
    if value is None:
        return "Null"
    if isinstance(value, bool):
        return str(value)
    return "Object" if isinstance(value, dict) else "Array" if isinstance(value, list) else "String" if isinstance(value, str) else "Number"


class _Reader:
    """One text, read from left to right; open lists and objects are on a stack of our own.

    Args:
      text: The text.
      place: Where its first value begins.
    """

    def __init__(self, text: str, place: int):
        self._text = text
        self._place = place

    def read(self) -> Any:
        """The first value of the text."""
        if self._place == len(self._text):
            self._fail("The document is empty.")
        stack: list[Any] = []
        names: list[str] = []
        while True:
            value = self._opened_or_scalar()
            opened = isinstance(value, (list, dict))
            if opened and not self._closes(value):
                stack.append(value)
                if isinstance(value, dict):
                    names.append(self._name())
                continue
            while True:  # the value is whole: it goes into what is open, which it may complete
                if not stack:
                    return value
                if isinstance(stack[-1], list):
                    stack[-1].append(value)
                    if self._goes_on("]", "Missing a comma or ] after an array element."):
                        break
                else:
                    stack[-1][names.pop()] = value
                    if self._goes_on("}", "Missing a comma or } after an object member."):
                        names.append(self._name())
                        break
                value = stack.pop()

    def _opened_or_scalar(self) -> Any:
        self._skip()
        first = self._text[self._place : self._place + 1]
        if first in ("[", "{") and first:
            self._place += 1
            return [] if first == "[" else {}
        if first == '"':
            return self._string()
        for word, value in _WORDS.items():
            if self._text.startswith(word, self._place):
                self._place += len(word)
                return value
        found = _NUMBER.match(self._text, self._place)
        if not found:
            self._fail("Invalid value.")
        self._place = found.end()
        try:
            return float(found[0]) if found[1] or found[2] else int(found[0])
        except ValueError:  # more figures than Python turns into an integer
            return float(found[0])

    def _closes(self, value: Any) -> bool:
        self._skip()
        if self._text.startswith("]" if isinstance(value, list) else "}", self._place):
            self._place += 1
            return True
        return False

    def _goes_on(self, end: str, otherwise: str) -> bool:
        self._skip()
        found = self._text[self._place : self._place + 1]
        if found not in (",", end) or not found:
            self._fail(otherwise)
        self._place += 1
        return found == ","

    def _name(self) -> str:
        self._skip()
        if not self._text.startswith('"', self._place):
            self._fail("Missing a name for object member.")
        name = self._string()
        self._skip()
        if not self._text.startswith(":", self._place):
            self._fail("Missing a colon after a name of object member.")
        self._place += 1
        return name

    def _string(self) -> str:
        try:
            value, self._place = json.decoder.scanstring(self._text, self._place + 1)  # type: ignore[attr-defined]
        except json.JSONDecodeError as error:
            self._place = error.pos
            if "Unterminated" in error.msg:
                self._fail("Missing a closing quotation mark in string.")
            if "escape" in error.msg:
                self._fail("Invalid escape character in string.")
            self._fail("Invalid encoding in string.")
        return str(value)

    def _skip(self) -> None:
        if self._text[self._place : self._place + 1] in _SPACES:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]

    def _fail(self, what: str) -> NoReturn:
        raise invalid(f"JSON Parse error: {what} at offset: {self._place}")
