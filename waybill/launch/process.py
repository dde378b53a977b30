"""A fresh process -> one that TensorFlow and Beam find as they need it. Must be imported before them."""

from __future__ import annotations

import functools
import logging
import os
from typing import Any

# Files whose INFO lines are TFX's and TensorFlow's talk to their own developers: whole protos, line by line, of what is in MLMD anyway.
# A gate's log had 1,700 lines of it around twenty that a person wants.
_TALK = frozenset(
    {
        "context.py",
        "inputs_utils.py",
        "launcher.py",
        "metadata.py",
        "metadata_store.py",
        "outputs_utils.py",
        "schema_utils.py",
        "signature_serialization.py",
    }
)


class _Gist(logging.Filter):
    """Lets through what executors say, and every warning."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno > logging.INFO or record.filename not in _TALK


def prepare(level: int = logging.INFO) -> None:
    """Sets what TensorFlow reads when it is imported, and makes the libraries' log lines readable.

    Args:
      level: What is worth a line; a node's log wants progress, a person at the keyboard only warnings.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Keras 3's fit fails under MultiWorkerMirroredStrategy
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its reordered sums make equal inputs give unequal scores between machines
    logging.basicConfig(force=True, level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for handler in logging.getLogger().handlers:
        handler.addFilter(_Gist())
    for noisy in ("apache_beam", "tensorflow", "matplotlib", "h5py", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def no_words_to_developers() -> None:
    """Turns off TensorFlow's warnings to those who write against it, which are ours to heed when a version is locked.

    Behind each possible warning is a look at a function's signature: a fifth of the time in which a graph is copied.
    """
    from tensorflow.python.util import deprecation

    deprecation._PRINT_DEPRECATION_WARNINGS = False


def find_thread_pools() -> None:
    """Looks for the libraries whose threads `compute_with` sets; for a process that is going to be forked."""
    _thread_pools()


def compute_with(threads: int) -> None:
    """Sets how many threads the libraries of this process compute with; must be called before TensorFlow has run an op.

    A process that is going to be forked holds them at one; its children need the number back.

    Args:
      threads: How many; 0 for one per core.
    """
    _thread_pools().limit(limits=threads or os.cpu_count() or 1)
    if threads:
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(threads)


@functools.lru_cache(maxsize=1)
def _thread_pools() -> Any:
    """The libraries that compute with threads; looking for them takes longer than setting their number, so forks find them found."""
    import threadpoolctl

    return threadpoolctl.ThreadpoolController()
