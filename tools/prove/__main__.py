"""`make prove`: runs every part of the proof, or one, writes docs/proof.md and ends with 1 when anything failed."""

from __future__ import annotations

import argparse
import secrets
import sys

from tools.prove import parts, table


def main() -> int:
    """Runs the parts in turn; each is written down when it has ended, so that what is interrupted is not lost."""
    parser = argparse.ArgumentParser(prog="make prove", description=__doc__)
    parser.add_argument("--only", choices=[part.name for part in parts.PARTS], help="only this part")
    parser.add_argument("--histories", type=int, default=200, help="how many random histories (default %(default)s)")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32), help="what they are drawn from (default: another each time)")
    args = parser.parse_args()
    chosen = [part for part in parts.PARTS if args.only in (None, part.name)]
    failed: list[str] = []
    for number, part in enumerate(chosen, 1):
        say(f"part {number} of {len(chosen)}, {part.name}: {part.tries}")
        tried = parts.run(part, args.histories, args.seed)
        table.write([tried])
        say(
            f"{part.name}: {tried.tried} tried, {len(tried.failed)} failed, {tried.seconds:.0f} s; the watcher looked {tried.looks:,} times"
        )
        failed += tried.failed
    for command in failed:
        say(f"FAILED; again with: {command}")
    say("docs/proof.md has the table" if failed else "all held; docs/proof.md has the table")
    return 1 if failed else 0


def say(line: str) -> None:
    """A line for whoever watches."""
    print(f"prove: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
