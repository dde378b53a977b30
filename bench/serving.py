"""What hot swaps and rollbacks of the model server cost: requests that fail, answers that are wrong, seconds to the old answer.

    .venv/bin/python -m bench.serving              prints; `make bench` writes bench/SERVING.md
    .venv/bin/python -m bench --only serving       this part of it alone

A steady stream of requests over REST and gRPC asks the highest version while versions come and go as a promoter has them come and go:
whole, by one rename. Odd versions say 2.5, even ones 3.5, and gRPC says which version answered, so that every answer can be judged.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np

from waybill.client.errors import ClientError
from waybill.client.rest import RestClient
from waybill.client.rpc import GrpcClient
from waybill.client.spec import Patience, Spec
from waybill.records.settings import PROJECT

SWAPS, ROLLBACKS = 50, 20
LIMIT_SECONDS = 5.0  # from a rollback to the first answer of the version before
MODEL = "half"
SAYS = {1: 2.5, 0: 3.5}  # by the version's remainder of 2
ONCE = Patience(seconds=30.0, tries=1)  # a request that fails is not hidden by asking again
_WAIT_SECONDS = 60.0
_END_SECONDS = 60.0


@dataclasses.dataclass(frozen=True)
class Found:
    """What was measured.

    Attributes:
      requests: Number of requests.
      failed: Words of those that got no answer.
      wrong: Answers that were not the version's.
      swaps: Seconds from the appearance of a version to its first answer, for each.
      rollbacks: Seconds from the disappearance of a version to the first answer of the one before, for each.
    """

    requests: int
    failed: tuple[str, ...]
    wrong: tuple[str, ...]
    swaps: tuple[float, ...]
    rollbacks: tuple[float, ...]

    def lines(self) -> list[str]:
        """The figures in words."""
        return [
            f"{self.requests} requests during {len(self.swaps)} hot swaps and {len(self.rollbacks)} rollbacks",
            f"{len(self.failed)} requests failed, {len(self.wrong)} answers were wrong",
            f"a new version answers after {_of(self.swaps)}",
            f"after a rollback the old version answers after {_of(self.rollbacks)}",
        ]


@contextlib.contextmanager
def served(*options: str) -> Iterator[tuple[str, str, list[str]]]:
    """`waybill serve` as a process of its own, on free ports: addresses of REST and gRPC, and its log, which is whole at the end.

    Raises:
      RuntimeError: if it does not start, or does not end well; with its log.
    """
    words = [sys.executable, "-m", "waybill.cli.main", "serve", "--rest-port", "0", "--grpc-port", "0", *options]
    log: list[str] = []
    process = subprocess.Popen(words, cwd=PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    ready = threading.Event()

    def read() -> None:
        for line in process.stdout or ():
            log.append(line)
            if "serving: REST " in line:
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        ready.wait(_WAIT_SECONDS)
        address = next((line.split("serving: REST ")[1].split(";")[0] for line in log if "serving: REST " in line), "")
        if not address:
            raise RuntimeError(f"the server did not start:\n{''.join(log)}")
        rest, _, grpc = address.partition(", gRPC ")
        yield rest, grpc, log
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_END_SECONDS)
        finally:
            process.kill()
            reader.join()
            if process.stdout:
                process.stdout.close()
    if process.returncode:
        raise RuntimeError(f"the server ended with {process.returncode}:\n{''.join(log)}")


def measure(swaps: int, rollbacks: int, say: Callable[[str], None] = lambda _: None) -> Found:
    """Swaps and rolls back under load.

    Args:
      swaps: How many versions take over.
      rollbacks: How many are taken back; no more than swaps.
      say: Takes a line for whoever watches.
    """
    with tempfile.TemporaryDirectory(prefix="waybill-swaps-") as folder:
        root = pathlib.Path(folder)
        base = root / "base"
        base.mkdir()
        kept = {rest: _save(root / f"kept-{rest}", says - 0.5) for rest, says in SAYS.items()}
        _put(kept, base, 1)
        with served("--model", f"{MODEL}={base}", "--poll-seconds", "0.1") as (rest, grpc, _):
            stream = _Stream(rest, grpc)
            stream.await_version(1)
            with stream:
                return _swap(stream, kept, base, swaps, rollbacks, say)


def _swap(
    stream: _Stream, kept: dict[int, pathlib.Path], base: pathlib.Path, swaps: int, rollbacks: int, say: Callable[[str], None]
) -> Found:
    up, down = [], []
    every = max(1, swaps // rollbacks) if rollbacks else swaps + 1
    for number in range(2, swaps + 2):
        began = time.monotonic()
        _put(kept, base, number)
        stream.await_version(number)
        up.append(time.monotonic() - began)
        if (number - 1) % every == 0 and len(down) < rollbacks:
            began = time.monotonic()
            aside = (base / str(number)).rename(base / f".trash-{number}")
            stream.await_version(number - 1)
            down.append(time.monotonic() - began)
            aside.rename(base / str(number))
            stream.await_version(number)
        if number > 2:
            shutil.rmtree((base / str(number - 2)).rename(base / f".trash-{number - 2}"))
        if number % 10 == 1:
            say(f"{number - 1} swaps, {len(down)} rollbacks, {stream.requests} requests")
    return Found(stream.requests, tuple(stream.failed), tuple(stream.wrong), tuple(up), tuple(down))


class _Stream:
    """Four threads that ask without a pause, two over REST and two over gRPC; one more client that looks which version answers.

    Args:
      rest: Address of REST.
      grpc: Address of gRPC.

    Attributes:
      requests: How many were asked.
      failed: Words of those that got no answer.
      wrong: Those that got another answer than the version's.
    """

    def __init__(self, rest: str, grpc: str):
        self._rest = RestClient(rest, ONCE)
        self._grpc = GrpcClient(grpc, ONCE)
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(ask,)) for ask in (self._by_rest, self._by_grpc) * 2]
        self.requests = 0
        self.failed: list[str] = []
        self.wrong: list[str] = []

    def __enter__(self) -> _Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join()
        self._grpc.close()

    def await_version(self, number: int) -> None:
        """Waits until a version answers who asks for none.

        Raises:
          RuntimeError: if it does not within a minute.
        """
        deadline = time.monotonic() + _WAIT_SECONDS
        while time.monotonic() < deadline:
            with contextlib.suppress(ClientError):
                if self._version() == number:
                    return
            time.sleep(0.01)
        raise RuntimeError(f"version {number} does not answer after {_WAIT_SECONDS:g} s")

    def _version(self) -> int:
        return self._grpc.predict(Spec(MODEL), {"x": np.array([1.0], np.float32)}).version

    def _ask(self, once: Callable[[], str]) -> None:
        while not self._stopped.is_set():
            try:
                wrong, failed = once(), ""
            except Exception as error:  # noqa: BLE001 - whatever it is, it is a request without an answer
                wrong, failed = "", f"{type(error).__name__}: {error}"
            with self._lock:
                self.requests += 1
                if wrong:
                    self.wrong.append(wrong)
                if failed:
                    self.failed.append(failed)

    def _by_rest(self) -> str:
        [found] = self._rest.predict_rows(Spec(MODEL), [1.0])
        return "" if found in SAYS.values() else f"REST said {found}"

    def _by_grpc(self) -> str:
        answer = self._grpc.predict(Spec(MODEL), {"x": np.array([1.0], np.float32)})
        [found] = answer.outputs["y"].tolist()
        return "" if found == SAYS[answer.version % 2] else f"version {answer.version} said {found}"


def _save(folder: pathlib.Path, b: float) -> pathlib.Path:
    """Saves y = x / 2 + b."""
    import tensorflow as tf

    model = tf.Module()
    model.b = tf.Variable(b)
    spec = tf.TensorSpec([None], tf.float32, name="x")
    predict = tf.function(lambda x: {"y": 0.5 * x + model.b}, input_signature=[spec], autograph=False)
    tf.saved_model.save(model, str(folder), {"serving_default": predict})
    return folder


def _put(kept: dict[int, pathlib.Path], base: pathlib.Path, number: int) -> None:
    shutil.copytree(kept[number % 2], base / f".staging-{number}").rename(base / str(number))


def _of(seconds: tuple[float, ...]) -> str:
    if not seconds:
        return "no time, for there were none"
    return f"{float(np.median(seconds)):.2f} s at the median, {max(seconds):.2f} s at most"


def main() -> int:
    """Measures and prints; 1 when a request failed, an answer was wrong, or a rollback took too long."""
    parser = argparse.ArgumentParser(prog="bench.serving", description=__doc__)
    parser.add_argument("--swaps", type=int, default=SWAPS)
    parser.add_argument("--rollbacks", type=int, default=ROLLBACKS)
    args = parser.parse_args()
    found = measure(args.swaps, args.rollbacks, lambda line: print(f"bench: {line}", flush=True))
    for line in (*found.lines(), *found.failed[:5], *found.wrong[:5]):
        print(f"bench: {line}", flush=True)
    return int(bool(found.failed or found.wrong) or max(found.rollbacks, default=0.0) >= LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
