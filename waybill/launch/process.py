"""A fresh process -> one that TensorFlow and Beam find as they need it. Must be imported before them."""

from __future__ import annotations

import logging
import os


def prepare(level: int = logging.INFO) -> None:
    """Sets what TensorFlow reads when it is imported, and makes the libraries' log lines readable.

    Args:
      level: What is worth a line; a node's log wants progress, a person at the keyboard only warnings.
    """
    os.environ["TF_USE_LEGACY_KERAS"] = "1"  # Keras 3's fit fails under MultiWorkerMirroredStrategy
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # its reordered sums make equal inputs give unequal scores between machines
    logging.basicConfig(force=True, level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    for noisy in ("apache_beam", "tensorflow", "matplotlib", "h5py", "urllib3"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
