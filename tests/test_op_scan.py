"""What a SavedModel could do when it is loaded or asked is seen before anything of it runs."""

from __future__ import annotations

import pathlib
import re

import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from waybill.serving import op_scan
from waybill.serving.errors import UnreadableModel
from waybill.serving.op_scan import denied_ops

TEXT = tf.TensorSpec([], tf.string, name="path")
# Operations that name a file and are good: they fill a table, from a vocabulary that the model brings along.
FROM_ASSETS = {"InitializeTableFromTextFile", "InitializeTableFromTextFileV2"}


def read(path):
    return {"said": tf.io.read_file(path)}


def read_when_asked_twice(path):
    return {"said": tf.cond(tf.strings.length(path) > 3, lambda: tf.io.read_file(path), lambda: path)}


def read_in_a_loop(path):
    return {"said": tf.while_loop(lambda i, _: i < 2, lambda i, _: (i + 1, tf.io.read_file(path)), (0, path))[1]}


def read_lines(path):
    lines = tf.data.TextLineDataset(path)
    return {"said": lines.reduce(tf.constant(""), lambda sofar, line: sofar + line)}


def read_in_a_dataset(path):
    read_each = tf.data.Dataset.from_tensors(path).map(tf.io.read_file)
    return {"said": read_each.reduce(tf.constant(""), lambda sofar, text: sofar + text)}


def write_beside_the_answer(path):
    tf.io.write_file(path, "written")
    return {"said": path}


def print_it(path):
    tf.print(path)
    return {"said": path}


def run_python(path):
    return {"said": tf.py_function(lambda text: text, [path], tf.string)}


def save(path):
    tf.raw_ops.SaveV2(prefix=path, tensor_names=["x"], shape_and_slices=[""], tensors=[tf.constant(1.0)])
    return {"said": path}


def end_the_server(path):
    with tf.control_dependencies([tf.raw_ops.Abort(exit_without_error=True)]):
        return {"said": tf.identity(path)}


@pytest.mark.parametrize(
    ("asked", "op"),
    [
        (read, "ReadFile"),
        (read_when_asked_twice, "ReadFile"),
        (read_in_a_loop, "ReadFile"),
        (read_lines, "TextLineDataset"),
        (read_in_a_dataset, "ReadFile"),
        (write_beside_the_answer, "WriteFile"),
        (print_it, "PrintV2"),
        (run_python, "EagerPyFunc"),
        (save, "SaveV2"),
        (end_the_server, "Abort"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_what_a_signature_should_not_do_is_found_however_deep_it_is(tmp_path, asked, op):
    export(tmp_path, asked)

    found = denied_ops(tmp_path)

    assert {f.op for f in found} == {op}
    assert found[0].reached_from == "signature serving_default"
    assert str(found[0]).startswith(f"{op} (node ")
    assert denied_ops(tmp_path, allowed=[op]) == ()


def test_a_good_model_with_variables_a_vocabulary_and_its_saver_holds_nothing_that_is_denied(tmp_path):
    vocabulary = tmp_path / "words.txt"
    vocabulary.write_text("Cash\nCredit Card\n")
    module = tf.Module()
    module.weight = tf.Variable(2.0)
    module.table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(str(vocabulary), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE, tf.int64, -1), 1
    )

    export(tmp_path / "model", lambda path: {"score": module.weight * tf.cast(module.table.lookup(path), tf.float32)}, module)

    assert "InitializeTableFromTextFileV2" in ops_of(tmp_path / "model")
    assert {"SaveV2", "RestoreV2", "MergeV2Checkpoints"} <= ops_of(tmp_path / "model")
    assert denied_ops(tmp_path / "model") == ()


def test_what_runs_while_a_model_is_loaded_is_looked_at_too(tmp_path):
    class Reads(tf.saved_model.experimental.TrackableResource):
        def _create_resource(self):
            return tf.raw_ops.MutableHashTableV2(key_dtype=tf.string, value_dtype=tf.string)

        def _initialize(self):
            text = tf.io.read_file("/etc/hostname")
            tf.raw_ops.LookupTableInsertV2(table_handle=self.resource_handle, keys=[text], values=[text])

    module = tf.Module()
    module.reads = Reads()

    def asked(path):
        return {"said": tf.raw_ops.LookupTableFindV2(table_handle=module.reads.resource_handle, keys=[path], default_value="")}

    export(tmp_path, asked, module)

    found = denied_ops(tmp_path)
    assert {f.op for f in found} == {"ReadFile"}
    assert found[0].reached_from in ("signature __saved_model_init_op", "what makes and fills tables")


def test_what_nothing_leads_to_is_left_alone(tmp_path):
    module = tf.Module()
    module.for_training = tf.function(read, input_signature=[TEXT])

    export(tmp_path, lambda path: {"said": path + "!"}, module)

    assert "ReadFile" in ops_of(tmp_path)
    assert denied_ops(tmp_path) == ()


def test_a_model_that_cannot_be_read_is_no_model_without_bad_operations(tmp_path):
    with pytest.raises(UnreadableModel, match="expected a SavedModel"):
        denied_ops(tmp_path)
    (tmp_path / "saved_model.pb").write_bytes(b"\xff\xff\xff")
    with pytest.raises(UnreadableModel, match="expected a SavedModel"):
        denied_ops(tmp_path)


@pytest.mark.parametrize("other", ["saved_model.cpb", "saved_model.pbtxt"])
def test_a_second_graph_beside_the_one_that_is_looked_at_is_refused(tmp_path, other):
    export(tmp_path, lambda path: {"said": path + "!"})
    (tmp_path / other).write_bytes(b"")
    with pytest.raises(UnreadableModel, match=other.replace(".", r"\.")):
        denied_ops(tmp_path)


def test_a_signature_that_only_pythons_loader_offers_is_looked_at_too(tmp_path):
    export(tmp_path, read)
    model = saved_model_pb2.SavedModel.FromString((tmp_path / "saved_model.pb").read_bytes())
    model.meta_graphs[0].signature_def.clear()
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    assert list(tf.saved_model.load(str(tmp_path)).signatures) == ["serving_default"]

    (found,) = denied_ops(tmp_path)

    assert (found.op, found.reached_from) == ("ReadFile", "a signature that only the object graph has")


def test_every_operation_of_tensorflow_that_names_a_file_or_an_address_is_denied_or_known_to_be_good():
    names = re.compile(r"(^|_)(file|filenames?|file_pattern|ckpt_path|path|directory|address|descriptor_source)$")
    kinds = [kind for kind in map(op_def_registry.get, dir(tf.raw_ops)) if kind]
    named = {kind.name for kind in kinds for each in (*kind.input_arg, *kind.attr) if names.search(each.name)}

    unknown = {op for op in named if not op_scan._DENIED.fullmatch(op) and not op_scan._SAVERS.fullmatch(op)}

    assert len(kinds) > 1000 and len(named) > 20
    assert unknown == FROM_ASSETS


def export(folder: pathlib.Path, asked, module: tf.Module | None = None) -> None:
    module = module or tf.Module()
    module.asked = tf.function(asked, input_signature=[TEXT])
    tf.saved_model.save(module, str(folder), signatures=module.asked)


def ops_of(folder: pathlib.Path) -> set[str]:
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    graph = model.meta_graphs[0].graph_def
    return {node.op for node in graph.node} | {node.op for function in graph.library.function for node in function.node_def}
