"""Work on standard input -> a result on the file descriptor that was named. The process that a cold node runs in."""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Executes one attempt; the environment must be set before TFX is imported."""
    from waybill.launch.process import prepare

    prepare()
    answer = int(sys.argv[-1])  # before the work, which takes the arguments away from executors
    from waybill.cli.nodes import execute_work
    from waybill.launch.work import Work

    result = execute_work(Work.from_text(sys.stdin.read()))
    with os.fdopen(answer, "wb") as handle:
        handle.write(result.to_line().encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
