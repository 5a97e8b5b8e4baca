"""Saving a graph as plain data, and loading it without running any code from it.

The data is a dictionary of strings, numbers, lists and dictionaries, ready for JSON.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from minigrad.core.body import Body
from minigrad.core.context import changed
from minigrad.core.generator import Generator
from minigrad.core.graph import Graph
from minigrad.core.literal import Literal
from minigrad.core.operation import Operation, SymbolicTensor
from minigrad.core.primitive import Primitive
from minigrad.core.registry import REGISTRY
from minigrad.core.state import StateOwner
from minigrad.core.tensor import Array
from minigrad.core.variable import Variable, rebuild_variable
from minigrad.dtypes import DType, as_dtype, from_numpy, string
from minigrad.errors import ArgumentError, GraphError, MinigradError
from minigrad.shapes import Spec

_FORMAT = "minigrad-graph"
_VERSION = 1
_PLAIN = (bool, int, float, str, type(None))


# -- writing -----------------------------------------------------------------------------------


def to_dict(graph: Graph) -> dict[str, Any]:
    """The graph as plain data: nodes, variables, collections, effects.

    Values that sessions hold are not part of it; those of eager variables are. Python functions
    (of `host_call`, `custom_gradient`) are named only, and given again to `from_dict`.

    >>> import minigrad as mg
    >>> g = mg.Graph()
    >>> with g.as_default():
    ...     y = mg.constant(2) * 3
    >>> loaded = mg.Graph.from_dict(g.to_dict())
    >>> mg.Session(graph=loaded).run("Mul:0")
    np.int32(6)
    """
    owners = _Written()
    nodes = [_node(op, owners) for op in graph.get_operations()]
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "name": graph.name,
        "seed": graph.seed,
        "random_count": graph.random_count,
        "nodes": nodes,
        "effects": _effects(graph, graph.get_operations()),
        "collections": {
            key: [made for m in members if (made := _member(m, graph, owners)) is not None]
            for key, members in graph.collections().items()
        },
        "state": list(owners.state.values()),  # Last, because all the others add to it.
    }


class _Written:
    """What several nodes share, and is written once.

    Attributes:
        state: variables and generators by the keys of their cells.
        bodies: the bodies of branches and loops; a gradient's node may hold one that another holds.
    """

    def __init__(self) -> None:
        self.state: dict[int, dict[str, Any]] = {}
        self.bodies: dict[int, Body] = {}


def _member(value: Any, graph: Graph, owners: _Written) -> list[Any] | None:
    """A member of a collection, where it is part of the graph, and not of a body."""
    if isinstance(value, Variable):
        return ["variable", _encode_owner(value, owners)]
    if isinstance(value, SymbolicTensor) and value.graph is graph:
        return ["tensor", value.name]
    if isinstance(value, Operation) and value.graph is graph:
        return ["operation", value.name]
    return None


def _node(op: Operation, owners: _Written) -> dict[str, Any]:
    return {
        "name": op.name,
        "op": op.type,
        "inputs": [None if t is None else t.name for t in op.inputs],
        "control": [c.name for c in op.control_inputs],
        "attrs": {key: _encode(value, owners, op) for key, value in op.attrs.items()},
        "forward": None if op.forward is None else op.forward.name,
        "line": op.line,
    }


def _encode(value: Any, owners: _Written, op: Operation) -> Any:
    """An attribute as plain data; what JSON lacks becomes ``{"$": kind, …}``."""
    if isinstance(value, _PLAIN):
        return value
    if isinstance(value, StateOwner):
        return {"$": "state", "key": _encode_owner(value, owners)}
    if isinstance(value, Body):
        return _encode_body(value, owners)
    if isinstance(value, Spec):
        return {"$": "spec", "shape": _encode(value.shape, owners, op), "dtype": str(value.dtype)}
    if isinstance(value, tuple | list):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {"$": kind, "items": [_encode(v, owners, op) for v in value]}
    if isinstance(value, DType):
        return {"$": "dtype", "name": str(value)}
    if isinstance(value, Literal):
        return {"$": "literal", "array": _encode_array(value.array)}
    if isinstance(value, np.ndarray | np.generic):
        return {"$": "array", "array": _encode_array(np.asarray(value))}
    if isinstance(value, slice):
        parts = [_encode(p, owners, op) for p in (value.start, value.stop, value.step)]
        return {"$": "slice", "items": parts}
    if value is Ellipsis:
        return {"$": "ellipsis"}
    if isinstance(value, complex):
        return {"$": "complex", "items": [value.real, value.imag]}
    if isinstance(value, Primitive):
        return {"$": "primitive", "op": value.op}
    if callable(value):
        return {"$": "function", "name": _function_name(value)}
    raise GraphError(
        f"node {op.name!r} ({op.type}) has an attribute of type {type(value).__name__}, which "
        "cannot be saved"
    )


def _function_name(value: Any) -> str:
    return f"{getattr(value, '__module__', '?')}.{getattr(value, '__qualname__', repr(value))}"


def _encode_array(array: Array) -> dict[str, Any]:
    data: dict[str, Any] = {"dtype": str(from_numpy(array.dtype)), "shape": list(array.shape)}
    if array.dtype == object:
        data["text"] = [str(v) for v in array.flat]
    else:
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        data["data"] = base64.b64encode(little.tobytes()).decode()
    return data


def _encode_owner(value: StateOwner, owners: _Written) -> int:
    """The key of a variable or generator in the data, after writing it there."""
    key = value.cell.key
    if key not in owners.state:
        owners.state[key] = _owner(value)
    return key


def _encode_body(body: Body, owners: _Written) -> dict[str, Any]:
    """The body of a branch or loop: its nodes, and which of them are inputs and outputs."""
    key = id(body.home)
    if key in owners.bodies:
        return {"$": "body", "key": key}
    owners.bodies[key] = body
    operations = body.get_operations()[: body.size]
    return {
        "$": "body",
        "key": key,
        "name": body.name,
        "nodes": [_node(op, owners) for op in operations],
        "arguments": [t.name for t in body.arguments],
        "captured": [[source.name, t.name] for source, t in body.captured.items()],
        "outputs": [t.name for t in body.outputs],
        "targets": [op.name for op in body.targets],
        "effects": _effects(body, operations),
    }


def _effects(graph: Graph, operations: Sequence[Operation]) -> list[list[Any]]:
    """The effects added to tensors, by name."""
    return [
        [t.name, [op.name for op in graph.effects_of(t)]]
        for node in operations
        for t in node.outputs
        if graph.effects_of(t)
    ]


def _owner(value: StateOwner) -> dict[str, Any]:
    """A variable or random generator."""
    if isinstance(value, Variable):
        made: dict[str, Any] = {
            "kind": "variable",
            "key": value.cell.key,
            "name": value.name,
            "shape": list(value.shape),
            "dtype": str(value.dtype),
            "trainable": value.trainable,
            "initializer": None if value.initializer is None else value.initializer.name,
        }
        if value.graph is None:
            made["value"] = _encode_array(value.numpy())
        return made
    if isinstance(value, Generator):
        return {"kind": "generator", "key": value.cell.key, **value.describe()}
    raise GraphError(f"state of type {type(value).__name__} cannot be saved")


# -- reading -----------------------------------------------------------------------------------


class _Loader:
    """Rebuilds the nodes in order."""

    def __init__(
        self, graph: Graph, data: dict[str, Any], functions: dict[str, Callable[..., Any]]
    ) -> None:
        self.graph = graph
        self.data = data
        self.functions = functions
        self.owners: dict[int, StateOwner] = {}
        self.bodies: dict[int, Body] = {}
        for entry in data["state"]:
            self.owners[entry["key"]] = self._state(entry)

    def _state(self, entry: dict[str, Any]) -> StateOwner:
        if entry["kind"] == "generator":
            return Generator.from_description(entry, self.graph)
        if "value" in entry:
            with changed(graph=None):
                made = Variable(
                    _decode_array(entry["value"]), trainable=entry["trainable"], name=entry["name"]
                )
        else:
            spec = Spec(tuple(entry["shape"]), as_dtype(entry["dtype"]))
            made = rebuild_variable(entry["name"], spec, entry["trainable"], self.graph, None)
        return made

    def load(self) -> None:
        """Add all nodes, then what refers to them."""
        graph = self.graph
        for node in self.data["nodes"]:
            self._load_node(node, graph)
        for entry in self.data["state"]:
            owner = self.owners[entry["key"]]
            if isinstance(owner, Variable) and entry["initializer"] is not None:
                owner.initializer = graph.get_operation_by_name(entry["initializer"])
        for op in graph.get_operations():
            if op.type == "VariableV2":
                graph.adopt_read(op.attrs["variable"], op.outputs[0])
        _add_effects(graph, self.data["effects"])
        for key, members in self.data["collections"].items():
            for member in members:
                graph.add_to_collection(key, self._member(*member))

    def _member(self, kind: str, name: Any) -> Any:
        if kind == "variable":
            return self.owners[name]
        if kind == "tensor":
            return self.graph.get_tensor_by_name(name)
        return self.graph.get_operation_by_name(name)

    def _load_node(self, node: dict[str, Any], graph: Graph) -> None:
        primitive = REGISTRY.get(node["op"])
        if primitive is None:
            raise GraphError(
                f"node {node['name']!r} is a {node['op']!r}, which is not registered; import the "
                "package that defines it first"
            )
        inputs = tuple(
            [None if name is None else graph.get_tensor_by_name(name) for name in node["inputs"]]
        )
        attrs = {key: self.decode(value, graph) for key, value in node["attrs"].items()}
        control = tuple([graph.get_operation_by_name(name) for name in node["control"]])
        specs = primitive.infer([None if t is None else t.spec for t in inputs], attrs)
        name = graph.unique_name(node["name"])
        if name != node["name"]:
            raise GraphError(f"the data holds two nodes called {node['name']!r}")
        op = graph.add_operation(primitive, inputs, attrs, specs, name, control)
        op._code, op._offset = node["line"], 0
        if node["forward"] is not None:
            op.forward = graph.get_operation_by_name(node["forward"])

    def _load_body(self, data: dict[str, Any], outer: Graph) -> Body:
        """A body of a node of `outer`; or one that has been loaded with another node."""
        if "nodes" not in data:
            return self.bodies[data["key"]]
        body = self.bodies[data["key"]] = Body(outer, data["name"])
        with body.building(""):
            for node in data["nodes"]:
                self._load_node(node, body)
        body.arguments = [body.get_tensor_by_name(name) for name in data["arguments"]]
        body.captured = {
            outer.get_tensor_by_name(source): body.get_tensor_by_name(name)
            for source, name in data["captured"]
        }
        body.close(
            [body.get_tensor_by_name(name) for name in data["outputs"]],
            [body.get_operation_by_name(name) for name in data["targets"]],
        )
        _add_effects(body, data["effects"])
        return body

    def decode(self, value: Any, graph: Graph) -> Any:
        """An attribute of a node of a graph from plain data."""
        if isinstance(value, _PLAIN):
            return value
        kind = value["$"]
        if kind in ("tuple", "list", "slice", "complex"):
            items = [self.decode(v, graph) for v in value["items"]]
            make: Any = {"tuple": tuple, "list": list}.get(kind)
            if make is not None:
                return make(items)
            return slice(*items) if kind == "slice" else complex(*items)
        if kind == "state":
            return self.owners[value["key"]]
        if kind == "body":
            return self._load_body(value, graph)
        if kind == "spec":
            return Spec(self.decode(value["shape"], graph), as_dtype(value["dtype"]))
        if kind == "dtype":
            return as_dtype(value["name"])
        if kind == "literal":
            return Literal(_decode_array(value["array"]))
        if kind == "array":
            return _decode_array(value["array"])
        if kind == "ellipsis":
            return Ellipsis
        if kind == "primitive":
            return REGISTRY[value["op"]]
        if kind == "function":
            return self.functions.get(value["name"]) or _Missing(value["name"])
        raise GraphError(f"the data holds an attribute of an unknown kind {kind!r}")


def _add_effects(graph: Graph, effects: list[list[Any]]) -> None:
    for name, ops in effects:
        for op_name in ops:
            effect = graph.get_operation_by_name(op_name)
            graph.add_effect(graph.get_tensor_by_name(name), effect)


class _Missing:
    """Stands for a Python function that was not given when its graph was loaded."""

    def __init__(self, name: str) -> None:
        self.__qualname__ = name
        self.__module__ = ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise GraphError(
            f"the graph calls the Python function {self.__qualname__!r}, which a saved graph does "
            "not hold; pass it: Graph.from_dict(data, functions={"
            + repr(self.__qualname__)
            + ": f})"
        )


def _decode_array(data: dict[str, Any]) -> Array:
    dtype, shape = as_dtype(data["dtype"]), tuple(data["shape"])
    if dtype is string:
        made: Array = np.empty(shape, object)
        made.flat[:] = data["text"]
        return made
    raw = np.frombuffer(base64.b64decode(data["data"]), dtype.dtype.newbyteorder("<"))
    return raw.astype(dtype.dtype).reshape(shape)


def from_dict(
    kind: type[Graph],
    data: dict[str, Any],
    *,
    functions: dict[str, Callable[..., Any]] | None = None,
) -> Graph:
    """A graph from the data that `to_dict` made. No code from the data is run.

    Args:
        kind: the class of the graph; given by ``Graph.from_dict``.
        data: the dictionary.
        functions: Python functions by the names that `to_dict` gave them ("module.qualname").

    Raises:
        ArgumentError: the data is not of this format and version.
        GraphError: an op is not registered, or the data is damaged or contradicts itself.
    """
    if not isinstance(data, dict) or data.get("format") != _FORMAT:
        raise ArgumentError("the data is not a graph saved by Graph.to_dict")
    if data.get("version") != _VERSION:
        raise ArgumentError(f"the data has version {data.get('version')}, expected {_VERSION}")
    try:
        graph = kind(data["name"])
        graph.seed, graph.random_count = data["seed"], data["random_count"]
        with changed(graph=graph, scope="", control=(), origin=None, log=None):
            _Loader(graph, data, functions or {}).load()
    except MinigradError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise GraphError(
            f"the data is damaged, or of another minigrad ({type(error).__name__}: {error})"
        ) from error
    return graph


def install() -> None:
    """Give `Graph` its `to_dict` and `from_dict`."""
    Graph.to_dict = to_dict  # type: ignore[method-assign, assignment]
    Graph.from_dict = classmethod(from_dict)  # type: ignore[method-assign, assignment]
