"""`python3 -m tools.bootstrap tools|tfx|airflow|board|peer ...`: makes the named environments complete."""

from __future__ import annotations

import pathlib
import sys

from tools.bootstrap import environments, interpreter
from tools.bootstrap.errors import SetupError

NAMES = {e.name: e for e in (environments.TOOLS, environments.TFX, environments.AIRFLOW, environments.BOARD, environments.PEER)}


def main(names: list[str]) -> int:
    """Ensures each named environment, in order; 0 when all are complete."""
    unknown = [name for name in names if name not in NAMES]
    if unknown or not names:
        print(f"set-up: got {' '.join(names) or 'no name'}, expected some of {', '.join(NAMES)}", file=sys.stderr)
        return 2
    builder = environments.Builder(pathlib.Path(__file__).resolve().parents[2], interpreter.inspect_interpreter(), _say)
    try:
        for name in names:
            builder.ensure(NAMES[name])
    except SetupError as error:
        print(f"set-up: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"set-up: {error}. Mend that and run the same make target again.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("set-up: interrupted; the next time it starts the unfinished environment over", file=sys.stderr)
        return 130
    return 0


def _say(line: str) -> None:
    print(f"set-up: {line}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
