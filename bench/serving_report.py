"""Measured swaps and rollbacks -> figures with what each must and should be, and SERVING.md."""

from __future__ import annotations

import datetime as dt

from bench import report
from bench.report import Figure
from bench.serving import LIMIT_SECONDS, Found


def figures(found: Found) -> list[Figure]:
    """What is judged."""
    under = f"under {len(found.swaps)} hot swaps and {len(found.rollbacks)} rollbacks"
    return [
        Figure(f"requests that failed, {under}", len(found.failed), 0, 0),
        Figure(f"answers that no version gives, {under}", len(found.wrong), 0, 0),
        Figure("rollback to the first old answer, slowest, in seconds", max(found.rollbacks), LIMIT_SECONDS, 1),
        Figure("new version to its first answer, slowest, in seconds", max(found.swaps), LIMIT_SECONDS, 1),
    ]


def write(found: Found) -> list[Figure]:
    """Writes SERVING.md and the figures into results.json, and returns the figures."""
    judged = figures(found)
    report.record(judged)
    lines = [
        "# Hot swaps and rollbacks of `waybill serve`, measured by `make bench`",
        "",
        f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}, {report.machine()}.",
        "",
        "Two clients over REST and two over gRPC ask a model without a pause, each request once, while versions come and go by a rename;",
        "the server looks ten times a second (by default once). Each answer is compared with what the two versions say.",
        "",
        *report.judged(judged),
        "",
        *(f"* {line}" for line in found.lines()),
    ]
    (report.FOLDER / "SERVING.md").write_text("\n".join(lines) + "\n")
    return judged
