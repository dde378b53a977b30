"""A SavedModel's folder -> the operations in it that no model should need to give an answer.

    denied_ops(Path(".../Format-Serving"))    # (Found("ReadFile", "ReadFile", "__inference_leak_12", "signature serving_default"),)

A model is a program. What it may do is in `saved_model.pb`, in a graph and a library of functions, so one can look before anything runs.
Looked at is what loading or asking it can reach: the signatures, what initialises tables and variables, and the part that saves and
restores, in which alone the operations of checkpoints have a place. Reading a vocabulary from `assets/` into a table is allowed.

This is a tripwire, not a sandbox: it knows names, and a kernel with a flaw has none.
"""

from __future__ import annotations

import dataclasses
import pathlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from waybill.serving.errors import UnreadableModel
from waybill.serving.words import one_line

# Operations of TensorFlow 2.21 that read or write files, run Python, talk to other machines, print, or end the process.
_DENIED = re.compile(
    r"""(Experimental)?(
    ReadFile | WriteFile | MatchingFiles | WholeFileReader(V2)? | TextLineReader(V2)? | TFRecordReader(V2)? | FixedLengthRecordReader(V2)?
    | LMDBReader | RecordInput | ImmutableConst | DecodeProtoV2 | EncodeProto | FileSystemSetConfiguration
    | LoadAndRemapMatrix | GenerateVocabRemapping | FixedUnigramCandidateSampler
    | (TextLine | TFRecord | FixedLengthRecord | MatchingFiles | CSV | LMDB | Sql | Snapshot\w* | Save | DataService)Dataset(V\d)?
    | CacheDataset(V2)? | LoadDataset | SnapshotDatasetReader | SnapshotChunkDataset | ListSnapshotChunksDataset | DatasetToTFRecord
    | RegisterDataset(V2)? | DistributedSave
    | (SummaryWriter | CreateSummary\w+ | Write\w*Summary | ImportEvent)
    | PyFunc | PyFuncStateless | EagerPyFunc | XlaPythonCall\w*
    | (Try)?Rpc | Rpc(Client|Server|Call|GetValue|CheckStatus)\w* | RemoteCall | RemoteFusedGraphExecute
    | Print(V2)? | Debug\w* | Abort
    )""",
    re.VERBOSE,
)
# What belongs to the part of a model that saves and restores, and nowhere else.
_SAVERS = re.compile(r"Save(V2|Slices)?|Restore(V2|Slice)?|MergeV2Checkpoints|ShardedFilename|ShardedFilespec|CheckpointHasKey")
_RUN_BY_LOADERS = ("saved_model_main_op", "legacy_init_op")
_RESOURCE_FUNCTIONS = ("_create_resource", "_initialize", "_destroy_resource")
_MAX_FOUND = 100
_LONGEST = 100  # characters of a name


@dataclasses.dataclass(frozen=True)
class Found:
    """A denied operation.

    Attributes:
      op: Its type, such as `ReadFile`.
      node: The node's name.
      where: The function it is in, or an empty text for the graph itself.
      reached_from: What leads to it, such as `signature serving_default`.
    """

    op: str
    node: str
    where: str
    reached_from: str

    def __str__(self) -> str:
        """In words, each name short and on one line."""
        op, node, where, way = (one_line(text, _LONGEST) for text in (self.op, self.node, self.where, self.reached_from))
        return f"{op} (node {node}{f' in function {where}' if where else ''}), reached from {way}"


def denied_ops(folder: pathlib.Path, allowed: Collection[str] = ()) -> tuple[Found, ...]:
    """The operations that must not be in a model that is served.

    Args:
      folder: The SavedModel's.
      allowed: Types of operations that are good all the same.

    Returns:
      At most 100 of them, each once, in the order of what leads to them.

    Raises:
      UnreadableModel: if there is no `saved_model.pb`, it is damaged, or another graph lies beside it.
    """
    if others := sorted(path.name for path in folder.glob("saved_model.*") if path.name != "saved_model.pb"):
        raise UnreadableModel(f"{str(folder)!r} holds {', '.join(others)}; expected saved_model.pb alone, since loaders differ")
    try:
        return _denied(folder, allowed)
    except IndexError as error:
        raise UnreadableModel(f"the graph of {str(folder)!r} names objects that it does not have ({error})") from error


def methods_of(folder: pathlib.Path) -> dict[str, str]:
    """The method of each signature, such as `tensorflow/serving/predict`, by the signature's name.

    Raises:
      UnreadableModel: if there is no `saved_model.pb`, or it is damaged.
    """
    graphs = _parsed(folder / "saved_model.pb").meta_graphs
    return {name: signature.method_name for graph in graphs for name, signature in graph.signature_def.items()}


def _denied(folder: pathlib.Path, allowed: Collection[str]) -> tuple[Found, ...]:
    found: dict[tuple[str, str, str], Found] = {}
    for graph in _parsed(folder / "saved_model.pb").meta_graphs:
        library = _Library(graph)
        for reason, roots, saves in _ways_in(graph):
            for op, node, where in library.reached(roots):
                bad = _DENIED.fullmatch(op) or (not saves and _SAVERS.fullmatch(op))
                if bad and op not in allowed:
                    found.setdefault((op, node, where), Found(op, node, where, reason))
    return tuple(found.values())[:_MAX_FOUND]


def _parsed(path: pathlib.Path) -> Any:
    from google.protobuf.message import DecodeError
    from tensorflow.core.protobuf import saved_model_pb2

    try:
        return saved_model_pb2.SavedModel.FromString(path.read_bytes())
    except (OSError, DecodeError) as error:
        raise UnreadableModel(f"cannot read {str(path)!r} ({error}); expected a SavedModel, as the trainer exports it") from error


_NODE, _FUNCTION = "node", "function"


class _Library:
    """A meta graph's nodes and functions, by name."""

    def __init__(self, graph: Any):
        self._nodes = {node.name: node for node in graph.graph_def.node}
        self._functions = {function.signature.name: function for function in graph.graph_def.library.function}

    def reached(self, roots: Iterable[str]) -> Iterator[tuple[str, str, str]]:
        """Type, name and function of every node that names lead to: of nodes in the graph, or of functions.

        In the graph what leads to a node is followed; of a function everything counts, because what changes something in it always runs.
        """
        todo = [(kind, name) for name in roots for kind in (_NODE, _FUNCTION)]  # a node may bear a function's name
        seen = set()
        while todo:
            kind, name = todo.pop()
            if (kind, name) in seen:
                continue
            seen.add((kind, name))
            if kind is _NODE and name in self._nodes:
                node = self._nodes[name]
                yield node.op, node.name, ""
                todo += [(_NODE, _node_of(each)) for each in node.input]
                todo += [(_FUNCTION, each) for each in self._called(node)]
            elif kind is _FUNCTION and name in self._functions:
                for node in self._functions[name].node_def:
                    yield node.op, node.name, name
                    todo += [(_FUNCTION, each) for each in self._called(node)]

    def _called(self, node: Any) -> list[str]:
        """Names of the functions that a node calls: by its type, or by an attribute, which may have functions among its own."""
        named = [node.op] if node.op in self._functions else []
        for value in node.attr.values():
            named += _named_in(value)
        return named


def _named_in(value: Any) -> list[str]:
    """Names of the functions in an attribute's value."""
    named: list[str] = []
    for function in [value.func] if value.HasField("func") else value.list.func:
        named.append(function.name)
        for inner in function.attr.values():
            named += _named_in(inner)
    return named


def _ways_in(graph: Any) -> Iterator[tuple[str, list[str], bool]]:
    """What makes nodes run: in words, the names it begins with, and whether it may save and restore."""
    for name, signature in graph.signature_def.items():
        yield f"signature {name}", [_node_of(each) for info in signature.outputs.values() for each in _tensors(info)], False
    yield "a signature that only the object graph has", list(_of_signatures(graph.object_graph_def)), False
    for name in _RUN_BY_LOADERS:
        yield f"what loading runs ({name})", [_node_of(each) for each in _listed(graph.collection_def, name)], False
    yield "what makes and fills tables", list(_of_resources(graph.object_graph_def)), False
    saver = graph.saver_def
    yield "saving and restoring", [_node_of(name) for name in (saver.save_tensor_name, saver.restore_op_name) if name], True
    yield "saving and restoring", list(_of_savers(graph.object_graph_def)), True


def _tensors(info: Any) -> list[str]:
    """Names of the tensors that make one output."""
    kind = info.WhichOneof("encoding")
    if kind == "coo_sparse":
        sparse = info.coo_sparse
        return [sparse.values_tensor_name, sparse.indices_tensor_name, sparse.dense_shape_tensor_name]
    if kind == "composite_tensor":
        return [name for part in info.composite_tensor.components for name in _tensors(part)]
    return [info.name]


def _listed(collections: Mapping[str, Any], name: str) -> list[str]:
    return list(collections[name].node_list.value) if name in collections else []


def _of_signatures(objects: Any) -> Iterator[str]:
    """Functions that TensorFlow's Python loader offers as signatures, whatever the graph says they are."""
    for root in objects.nodes[:1]:
        for held in (child for child in root.children if child.local_name == "signatures"):
            for signature in objects.nodes[held.node_id].children:
                function = objects.nodes[signature.node_id]
                yield from function.function.concrete_functions
                yield function.bare_concrete_function.concrete_function_name


def _of_resources(objects: Any) -> Iterator[str]:
    """Functions that TensorFlow's Python loader calls while it loads."""
    for node in objects.nodes:
        for child in node.children:
            if child.local_name in _RESOURCE_FUNCTIONS:
                function = objects.nodes[child.node_id]
                yield from function.function.concrete_functions
                yield function.bare_concrete_function.concrete_function_name


def _of_savers(objects: Any) -> Iterator[str]:
    """Functions of objects that save themselves in a way of their own."""
    for node in objects.nodes:
        for saveable in node.saveable_objects.values():
            for number in (saveable.save_function, saveable.restore_function):
                yield from objects.nodes[number].function.concrete_functions


def _node_of(tensor: str) -> str:
    """`^node` or `node:0` -> `node`."""
    return tensor.removeprefix("^").partition(":")[0]
