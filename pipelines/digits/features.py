"""A drawing -> what the model learns from, in a graph that training and serving share.

drawing <PNG of 8 by 8>, digit 7    ->    drawing_xf [8, 8, 1] with 0 for paper and 1 for the darkest ink, digit_xf 7
"""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf

from pipelines.digits.policy import LABEL

SIDE = 8  # pixels
DRAWING = "drawing"
INK = "drawing_xf"
_WHITE = 255.0


def preprocessing_fn(inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """The graph that `transform` keeps and the model carries along.

    Args:
      inputs: Raw columns by name, one value in each row.

    Returns:
      The ink, `[n, 8, 8, 1]`, and the label, `[n, 1]`.
    """
    return {INK: ink(inputs[DRAWING]), LABEL: inputs["digit"]}


def ink(drawings: tf.Tensor) -> tf.Tensor:
    """Encoded images, `[n, 1]` -> how dark each pixel is, `[n, 8, 8, 1]`.

    An image of another size is averaged to 8 by 8, as the first makers of these digits did with larger ones. What is learned from has the
    right size, or the data gate stops it; a picture that somebody asks about may have any.
    """

    def decoded(drawing: tf.Tensor) -> tf.Tensor:
        grey = tf.cast(tf.io.decode_png(drawing, channels=1), tf.float32)
        return 1.0 - tf.image.resize(grey, (SIDE, SIDE), method="area") / _WHITE

    shape = tf.TensorSpec([SIDE, SIDE, 1], tf.float32)
    return tf.map_fn(decoded, tf.reshape(drawings, [-1]), fn_output_signature=shape)
