"""Small SavedModels to serve: what each answers can be said without a computer.

half_plus_two      y = x / 2 + 2, over tensors, and over tf.Examples with a feature x as a class's score and as a value
many_signatures    one signature for each shape that requests and answers can have
"""

from __future__ import annotations

import pathlib

import tensorflow as tf

Example = tf.TensorSpec([None], tf.string, name="inputs")


def text_of(row: dict[str, list[float]]) -> bytes:
    """A serialized tf.Example of float features."""
    features = {name: tf.train.Feature(float_list=tf.train.FloatList(value=values)) for name, values in row.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


class Half(tf.Module):
    """y = x / 2 + b."""

    def __init__(self, b: float):
        super().__init__()
        self.a, self.b = tf.Variable(0.5), tf.Variable(b)

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def predict(self, x):
        return {"y": self.a * x + self.b}

    @tf.function(input_signature=[Example])
    def regress(self, inputs):
        return {"outputs": self._of_examples(inputs)}

    @tf.function(input_signature=[Example])
    def classify(self, inputs):
        return {"scores": self._of_examples(inputs)}

    def _of_examples(self, inputs):
        x = tf.io.parse_example(inputs, {"x": tf.io.FixedLenFeature([1], tf.float32)})["x"]
        return self.a * x + self.b


class Many(tf.Module):
    """Signatures of many shapes."""

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="a"), tf.TensorSpec([None], tf.int64, name="b")])
    def two(self, a, b):
        return {"sum": a + tf.cast(b, tf.float32), "b": b}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="text")])
    def texts(self, text):
        return {"said": tf.strings.upper(text)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.string, name="text")])
    def packed(self, text):
        return {"said_bytes": text}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def same(self, x):
        return {"x": tf.identity(x)}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.int32, name="x")])
    def whole(self, x):
        return {"x": x + 1}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.bool, name="x")])
    def opposite(self, x):
        return {"x": tf.logical_not(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def total(self, x):
        return {"total": tf.reduce_sum(x)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def uneven(self, x):
        return {"all": tf.identity(x), "first": x[:1]}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.float32, name="x")])
    def none(self, x):
        return {"nothing": x[:0]}

    @tf.function(input_signature=[Example])
    def classes(self, inputs):
        features = {"x": tf.io.FixedLenFeature([1], tf.int64, 0), "shared": tf.io.FixedLenFeature([1], tf.int64, 0)}
        found = tf.io.parse_example(inputs, features)
        score = tf.cast(found["x"] + found["shared"], tf.float32)
        return {"classes": tf.tile([["low", "high"]], [tf.size(inputs), 1]), "scores": tf.concat([-score, score], 1)}


def save_half(folder: pathlib.Path, b: float = 2.0) -> pathlib.Path:
    """Saves `y = x / 2 + b` and returns the folder."""
    model = Half(b)
    signatures = {"serving_default": model.predict, "regress_x_to_y": model.regress, "classify_x_to_y": model.classify}
    tf.saved_model.save(model, str(folder), signatures)
    return folder


def save_many(folder: pathlib.Path) -> pathlib.Path:
    """Saves a model with a signature of each shape and returns the folder."""
    model = Many()
    names = ("two", "texts", "packed", "same", "whole", "opposite", "total", "uneven", "none", "classes")
    tf.saved_model.save(model, str(folder), {name: getattr(model, name) for name in names} | {"serving_default": model.two})
    return folder
