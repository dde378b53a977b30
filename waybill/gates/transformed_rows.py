"""Rows that ingestion wrote and rows that Transform wrote -> a rule: none was lost or doubled on the way to the model."""

from __future__ import annotations

import collections
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from waybill.gates import tfrecords
from waybill.gates.data_rules import by_split
from waybill.records.verdict import Rule, RuleOutcome

_NAME, _SUBJECT = "rows.transformed", "the window"


def judge(written: Sequence[Mapping[str, int]], transformed: Mapping[str, int] | None) -> Rule:
    """The rule on transformed rows.

    Args:
      written: Rows that ingestion wrote, by split, of each span of the window; an empty one where it did not say.
      transformed: Records in the transformed examples of all spans, by split; None when the gate was not given them.
    """
    expected = "as many transformed rows in each split as ingestion wrote"
    if transformed is None or not written:
        return Rule(_NAME, _SUBJECT, RuleOutcome.NOT_JUDGED, expected, "the gate was not given both kinds of examples")
    if not all(written):
        return Rule(_NAME, _SUBJECT, RuleOutcome.NOT_JUDGED, expected, "ingestion recorded no row counts")
    wanted = _sum(written)
    asked = {split: wanted.get(split, 0) for split in transformed}  # a split that Transform was not asked for is no loss
    return Rule(
        name=_NAME,
        subject=_SUBJECT,
        outcome=RuleOutcome.PASS if transformed and asked == dict(transformed) else RuleOutcome.BLOCK,
        expected=f"the {by_split(asked)} that ingestion wrote for {len(written)} spans",
        found=by_split(transformed),
    )


def count(artifacts: Iterable[tuple[pathlib.Path, Sequence[str]]]) -> dict[str, int]:
    """The records of Examples artifacts, by split.

    Args:
      artifacts: Each one's folder and the names of its splits.

    Raises:
      EvidenceError: if a split's files are missing or damaged.
    """
    return _sum({split: tfrecords.count(folder / f"Split-{split}") for split in splits} for folder, splits in artifacts)


def _sum(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: collections.Counter[str] = collections.Counter()
    for rows in counts:
        total.update(rows)
    return dict(total)
