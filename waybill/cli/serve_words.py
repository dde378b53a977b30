"""The words of `waybill serve`."""

from __future__ import annotations

import argparse

_DESCRIPTION = """\
Answers with TensorFlow Serving's protocol, over REST and gRPC, on a machine without TensorFlow Serving.

It is for laptops and tests: one process, no TLS, no login, no batching. Production runs TensorFlow Serving, with the files in
deploy/tensorflow-serving/. Without options it serves what is promoted here, and follows every promotion and rollback. `waybill up` starts
one beside Airflow.

In a browser, the address of REST shows what is served, and asks it: http://127.0.0.1:8501/
"""

_EPILOG = """\
Serve what is promoted here, and ask it:
  waybill serve
  curl http://127.0.0.1:8501/v1/models/orders

Serve any SavedModels, each from a folder whose children are versions (models/orders/1/saved_model.pb):
  waybill serve --model orders=models/orders --model returns=models/returns

Serve by a models.config of your own, which is read again when it changes:
  waybill serve --models-config /srv/models/models.config
"""


def add(verbs: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Adds the verb."""
    verb = verbs.add_parser(
        "serve",
        help="answer for the promoted models with TensorFlow Serving's protocol; for laptops and tests",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = verb.add_argument_group("what is served")
    what.add_argument(
        "--model", action="append", default=[], metavar="NAME=PATH", help="a model and the folder of its versions; repeatable"
    )
    what.add_argument("--models-config", default="", metavar="FILE", help="a models.config; default: the one that promotions write")
    what.add_argument("--poll-seconds", type=_seconds, default=1.0, metavar="S", help="between looks for versions, default 1; 0: look once")
    what.add_argument(
        "--strict-labels",
        action="store_true",
        help="refuse a new label for a version that is not loaded, as TensorFlow Serving does",
    )
    what.add_argument("--no-checks", action="store_true", help="load whatever TensorFlow's loader takes, even what was never released")
    where = verb.add_argument_group("where it answers")
    where.add_argument("--host", default="127.0.0.1", help="address to listen on, default 127.0.0.1: this machine only. There is no login")
    where.add_argument("--rest-port", type=_port, default=8501, metavar="PORT", help="port of REST, default 8501; 0: any free one")
    where.add_argument("--grpc-port", type=_port, default=8500, metavar="PORT", help="port of gRPC, default 8500; 0: any free one")
    where.add_argument("--any-port", action="store_true", help="where a port is taken, listen on any free one; the log says which")
    where.add_argument("--address-file", default="", metavar="FILE", help="write process id and addresses there, as JSON, once it listens")
    where.add_argument("--grpc-socket-path", default="", metavar="PATH", help="a Unix socket for gRPC beside the port")
    where.add_argument("--max-body", type=_count, default=64, metavar="MB", help="largest request, default 64 megabytes")
    where.add_argument("--no-monitoring", action="store_true", help="no page for Prometheus at /monitoring/prometheus/metrics")
    how = verb.add_argument_group("how versions are loaded")
    how.add_argument("--load-retries", type=_count, default=2, metavar="N", help="how often a failed load is tried again, default 2")
    how.add_argument("--load-retry-seconds", type=_seconds, default=1.0, metavar="S", help="between tries, default 1")
    how.add_argument("--load-threads", type=_some, default=2, metavar="N", help="how many versions are loaded at once, default 2")
    how.add_argument("--no-warm-up", action="store_true", help="do not replay a model's warm-up requests before it answers")


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is no port; expected 0 to 65535")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 0 or more")
    return int(text)


def _some(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number, 1 or more")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} are no seconds; expected 0 or more, such as 0.5")
    return value
