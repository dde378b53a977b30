"""The text of a curated schema and a changed schema -> the text with these changes, everything else as it was written.

A feature or domain that has changed is written anew in its place; comments inside of it are lost, those around it stay. New features come
after the last one, new domains at the end.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator

from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from waybill.records.errors import RecordError
from waybill.scaffold.inferred import block

_BEGINS = re.compile(r"[A-Za-z_]+")
_TOKEN = re.compile(r'#[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|[{}]')


@dataclasses.dataclass(frozen=True)
class Block:
    """A feature or a domain in the text.

    Attributes:
      word: `feature` or `string_domain`.
      start: Where it begins.
      end: Where it ends.
      message: What it says.
      remarks: Comments inside of it.
    """

    word: str
    start: int
    end: int
    message: schema_pb2.Feature | schema_pb2.StringDomain
    remarks: tuple[str, ...]


def changed(text: str, schema: schema_pb2.Schema) -> tuple[str, tuple[str, ...]]:
    """The text of a schema with another one's features and domains.

    Args:
      text: What is curated.
      schema: What it should say.

    Returns:
      The new text, and the comments that are lost.

    Raises:
      RecordError: if the two differ in more than features and domains.
    """
    wanted = {("feature", f.name): f for f in schema.feature} | {("string_domain", d.name): d for d in schema.string_domain}
    blocks = list(_blocks(text))
    there = {(b.word, b.message.name) for b in blocks}
    fresh = {key: message for key, message in wanted.items() if key not in there}
    other = [(b, wanted[b.word, b.message.name]) for b in blocks if wanted.get((b.word, b.message.name), b.message) != b.message]
    edits = [(b.start, b.end, block(b.word, message).rstrip("\n")) for b, message in other]
    after = max((b.end for b in blocks if b.word == "feature"), default=len(text))
    edits.append((after, after, "".join("\n" + block(word, m).rstrip("\n") for (word, _), m in fresh.items() if word == "feature")))
    made = text
    for start, end, new in sorted(edits, reverse=True):
        made = made[:start] + new + made[end:]
    domains = [block(word, m) for (word, _), m in fresh.items() if word == "string_domain"]
    made = "\n".join([made.rstrip("\n") + "\n", *domains]) if domains else made
    if _said(text_format.Parse(made, schema_pb2.Schema())) != _said(schema):
        raise RecordError("the schema would change in more than its features and domains; expected these alone; change it by hand")
    return made, tuple(remark for b, _ in other for remark in b.remarks)


def _blocks(text: str) -> Iterator[Block]:
    """The features and domains in a text, in its order."""
    depth, start, remarks = 0, 0, []
    last = 0  # where what belongs to no block begins
    for token in _TOKEN.finditer(text):
        if token[0].startswith("#"):
            if depth:
                remarks.append(token[0])
            else:
                last = token.end()
        elif token[0] == "{":
            if not depth:
                word = list(_BEGINS.finditer(text, last, token.start()))[-1]
                start, remarks = word.start(), []
            depth += 1
        elif token[0] == "}":
            depth -= 1
            if not depth:
                last = token.end()
                yield from _block(text[start:last], start, tuple(remarks))


def _block(text: str, start: int, remarks: tuple[str, ...]) -> Iterator[Block]:
    parsed = text_format.Parse(text, schema_pb2.Schema())
    for word, messages in (("feature", parsed.feature), ("string_domain", parsed.string_domain)):
        for message in messages:
            yield Block(word, start, start + len(text), message, remarks)


def _said(schema: schema_pb2.Schema) -> tuple[bytes, list[tuple[str, bytes]]]:
    """What a schema says, whatever the order of its features."""
    named = [(m.name, m.SerializeToString(deterministic=True)) for messages in (schema.feature, schema.string_domain) for m in messages]
    rest = schema_pb2.Schema()
    rest.CopyFrom(schema)
    del rest.feature[:], rest.string_domain[:]
    return rest.SerializeToString(deterministic=True), sorted(named)
