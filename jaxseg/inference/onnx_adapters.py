"""What jax2onnx lacks: changes to its models for onnxruntime, and a faster check in its converter.

Each keeps the values as they are.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

REPEATED = 1024  # Elements of a constant from which on its repetitions are left out.


@contextlib.contextmanager
def faster_check() -> Iterator[None]:
    """Makes a check of jax2onnx faster within this context: whether each value that it binds is in the graph.

    jax2onnx compares each value with the outputs of all nodes, which is most of the time of a detector's conversion.
    A value knows the node that computes it. What has no node in this graph is still compared.
    """
    try:
        from jax2onnx.converter import output_binding

        search = output_binding._value_is_graph_connected
    except (ImportError, AttributeError):  # Another version of jax2onnx, which converts all the same.
        yield
        return

    def is_connected(context: Any, value: Any) -> bool:
        node = value.producer()
        return (node is not None and node.graph is context.builder.graph) or search(context, value)

    output_binding._value_is_graph_connected = is_connected
    try:
        yield
    finally:
        output_binding._value_is_graph_connected = search


def narrow_constants(model: Any) -> Any:
    """Turns float64 constants of an ONNX model into float32 ones, in place, and returns it.

    The converter writes some Python numbers as float64, which operations on float32 refuse. It also declares the
    shapes of some inner values in another order of axes; these declarations are optional and are dropped.
    """
    from onnx import AttributeProto, TensorProto, numpy_helper

    def narrow(tensor: Any) -> None:
        if tensor.data_type == TensorProto.DOUBLE:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    for graph in _graphs(model.graph):
        del graph.value_info[:]
        for tensor in graph.initializer:
            narrow(tensor)
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.type == AttributeProto.TENSOR:
                    narrow(attribute.t)
                if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.DOUBLE:
                    attribute.i = TensorProto.FLOAT
    return model


def compact_constants(model: Any) -> Any:
    """Stores large constants that repeat along axes without the repetitions, in place, and returns the model.

    The converter writes the zero of a ReLU as an array of the size of its input, for example. ``Expand`` repeats it.
    """
    from onnx import helper, numpy_helper

    for graph in _graphs(model.graph):
        repeats, shapes = [], []
        for tensor in graph.initializer:
            values = numpy_helper.to_array(tensor) if np.prod(tensor.dims) >= REPEATED else np.zeros(())
            small = _without_repetitions(values)
            if 2 * small.size > values.size:
                continue
            name, once, shape = tensor.name, f"{tensor.name}/once", f"{tensor.name}/shape"
            tensor.CopyFrom(numpy_helper.from_array(small, once))
            shapes.append(numpy_helper.from_array(np.array(values.shape, np.int64), shape))
            repeats.append(helper.make_node("Expand", [once, shape], [name]))
        graph.initializer.extend(shapes)
        nodes = list(graph.node)
        del graph.node[:]
        graph.node.extend([*repeats, *nodes])
    return model


def _without_repetitions(values: np.ndarray) -> np.ndarray:
    """Returns an array with length 1 along each axis along which its values are the same, to the bit."""
    bits = values.view(f"u{values.itemsize}")
    for axis in range(values.ndim):
        first = bits.take([0], axis)
        bits = first if (bits == first).all() else bits
    return bits.view(values.dtype)


def _graphs(graph: Any) -> Iterator[Any]:
    """Yields a graph and those within it, such as the bodies of loops."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)


def replace_bool_where(model: Any) -> Any:
    """Replaces ``Where`` of truth values in an ONNX model, in place, and returns it.

    onnxruntime has no kernel for it. ``(c and x) or (not c and y)`` is the same.
    """
    from onnx import TensorProto, helper

    for graph, types in _typed_graphs(model):
        nodes = list(graph.node)
        del graph.node[:]
        for node in nodes:
            if node.op_type != "Where" or TensorProto.BOOL not in map(types.get, (*node.input[1:], *node.output)):
                graph.node.append(node)
                continue
            (condition, true, false), (output,) = node.input, node.output
            names = [f"{output}/{part}" for part in ("true", "not", "false")]
            graph.node.extend(
                [
                    helper.make_node("And", [condition, true], names[:1]),
                    helper.make_node("Not", [condition], names[1:2]),
                    helper.make_node("And", [names[1], false], names[2:]),
                    helper.make_node("Or", [names[0], names[2]], [output]),
                ]
            )
    return model


def _typed_graphs(model: Any) -> Iterator[tuple[Any, dict[str, int]]]:
    """Yields each graph of a model with the type of each of its values, as far as they can be inferred.

    Inner graphs come first, since a changed graph holds copies of its nodes and of the graphs in them.
    """
    from onnx import shape_inference

    inferred = shape_inference.infer_shapes(model)
    pairs = list(zip(_graphs(model.graph), _graphs(inferred.graph), strict=True))
    for graph, known in reversed(pairs):
        types = {tensor.name: tensor.data_type for tensor in known.initializer}
        for value in (*known.value_info, *known.input, *known.output):
            types[value.name] = value.type.tensor_type.elem_type
        yield graph, types
