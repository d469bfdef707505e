"""ONNX exports: they answer as their runs do under onnxruntime, and each adapter keeps the values."""

import json
import types

import jax
import numpy as np
import pytest
from export_checks import check_scores, tiny_exported

from jaxseg.commands import run
from jaxseg.inference import load, onnx_files
from jaxseg.inference.exported import load_export


def run_model(model, *arrays):
    """Runs an ONNX model whose inputs are called x0, x1, ..."""
    session = pytest.importorskip("onnxruntime").InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {f"x{number}": array for number, array in enumerate(arrays)})


def make_model(nodes, inputs, output, initializer=()):
    """Returns an ONNX model; inputs and the output are pairs of a type and a shape."""
    helper = pytest.importorskip("onnx").helper
    values = [helper.make_tensor_value_info(f"x{number}", *one) for number, one in enumerate(inputs)]
    outputs = [helper.make_tensor_value_info("y", *output)]
    graph = helper.make_graph(nodes, "graph", values, outputs, initializer)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def test_constants_of_float64_become_float32():
    onnx = pytest.importorskip("onnx")
    from jaxseg.inference.onnx_adapters import narrow_constants

    number = onnx.numpy_helper.from_array(np.array(3.4e38), "most")
    kind = onnx.TensorProto.FLOAT, [2]
    model = make_model([onnx.helper.make_node("Min", ["x0", "most"], ["y"])], [kind], kind, [number])
    (found,) = run_model(narrow_constants(model), np.array([1, np.inf], np.float32))
    np.testing.assert_array_equal(found, np.array([1, 3.4e38], np.float32))


def test_where_of_truth_values_is_written_in_logic():
    onnx = pytest.importorskip("onnx")
    from jaxseg.inference.onnx_adapters import replace_bool_where

    kind = onnx.TensorProto.BOOL, [8]
    model = make_model([onnx.helper.make_node("Where", ["x0", "x1", "x2"], ["y"])], [kind] * 3, kind)
    bits = (np.arange(8) >> np.arange(3)[:, None]) % 2 == 1
    (found,) = run_model(replace_bool_where(model), *bits)
    np.testing.assert_array_equal(found, np.where(*bits))
    assert "Where" not in [node.op_type for node in model.graph.node]


def test_where_of_truth_values_is_found_in_inner_graphs():
    onnx = pytest.importorskip("onnx")
    from jaxseg.inference.onnx_adapters import replace_bool_where

    helper, kind = onnx.helper, (onnx.TensorProto.BOOL, [2])
    inner = helper.make_node("Where", ["x0", "z", "x1"], ["inner"])
    body = helper.make_graph([inner], "body", [], [helper.make_tensor_value_info("inner", *kind)])
    always = onnx.numpy_helper.from_array(np.array(True), "always")
    nodes = [
        helper.make_node("Where", ["x0", "x1", "x2"], ["z"]),
        helper.make_node("If", ["always"], ["y"], then_branch=body, else_branch=body),
    ]
    model = replace_bool_where(make_model(nodes, [kind] * 3, kind, [always]))
    arrays = np.array([True, False]), np.array([False, True]), np.array([True, True])
    assert run_model(model, *arrays)[0].tolist() == [False, True]


def test_where_of_numbers_stays():
    onnx = pytest.importorskip("onnx")
    from jaxseg.inference.onnx_adapters import replace_bool_where

    truth, kind = (onnx.TensorProto.BOOL, [2]), (onnx.TensorProto.FLOAT, [2])
    model = make_model([onnx.helper.make_node("Where", ["x0", "x1", "x2"], ["y"])], [truth, kind, kind], kind)
    numbers = np.array([True, False]), np.float32([1, 2]), np.float32([3, 4])
    assert run_model(replace_bool_where(model), *numbers)[0].tolist() == [1, 4]


def test_the_faster_check_decides_as_the_converters_own(monkeypatch):
    output_binding = pytest.importorskip("jax2onnx.converter.output_binding")
    import onnx_ir

    from jaxseg.inference.onnx_adapters import faster_check

    given, constant, stray = (onnx_ir.Value(name=name) for name in ("given", "constant", "stray"))
    node, other = onnx_ir.Node("", "Neg", [given]), onnx_ir.Node("", "Abs", [given])
    graph = onnx_ir.Graph([given], [], nodes=[node])
    builder = types.SimpleNamespace(graph=graph, nodes=graph, inputs=graph.inputs, initializers=[constant])
    context = types.SimpleNamespace(builder=builder)
    values = given, constant, stray, node.outputs[0], other.outputs[0]
    own = output_binding._value_is_graph_connected
    searched = []
    monkeypatch.setattr(
        output_binding, "_value_is_graph_connected", lambda *given: searched.append(given) or own(*given)
    )
    with faster_check():
        found = [output_binding._value_is_graph_connected(context, value) for value in values]
    assert found == [own(context, value) for value in values] == [True, True, False, True, False]
    assert len(searched) == 4, "the node of a value in the graph is not searched for"
    output_binding._value_is_graph_connected(context, node.outputs[0])
    assert len(searched) == 5, "after the context, the converter's own check is back"


def test_constants_that_repeat_are_stored_once():
    onnx = pytest.importorskip("onnx")
    from jaxseg.inference.onnx_adapters import compact_constants

    rows = np.broadcast_to(np.arange(32, dtype=np.float32), (1, 64, 32))
    arrays = {"zeros": np.full((1, 64, 32), -0.0, np.float32), "rows": rows, "all": np.arange(2048.0, dtype=np.float32)}
    arrays["all"] = arrays["all"].reshape(1, 64, 32)
    constants = [onnx.numpy_helper.from_array(array.copy(), name) for name, array in arrays.items()]
    kind = onnx.TensorProto.FLOAT, [1, 64, 32]
    model = make_model([onnx.helper.make_node("Sum", ["x0", *arrays], ["y"])], [kind], kind, constants)
    before = model.ByteSize()
    given = np.random.default_rng(0).normal(size=(1, 64, 32)).astype(np.float32)
    (found,) = run_model(compact_constants(model), given)
    np.testing.assert_allclose(found, given + arrays["rows"] + arrays["all"], rtol=1e-6)
    assert {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer if tensor.data_type == 1} == {
        "zeros/once": (1, 1, 1), "rows/once": (1, 1, 32), "all": (1, 64, 32),
    }  # fmt: skip
    assert np.signbit(onnx.numpy_helper.to_array(model.graph.initializer[0])).all()
    assert model.ByteSize() < before / 2


def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch, trained, tmp_path, capsys):
    monkeypatch.setattr(onnx_files.importlib.util, "find_spec", lambda name: None)
    arguments = ["export", "--workdir", str(trained[0]), "--format", "onnx", "--output", str(tmp_path / "model.onnx")]
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "pip install 'jaxseg[onnx]'" in error


def test_onnx_files_end_in_onnx(capsys):
    assert run(["export", "--workdir", "x", "--format", "onnx", "--output", "model.jaxseg"]) == 2
    assert run(["export", "--workdir", "x", "--output", "model.onnx"]) == 2
    assert capsys.readouterr().err.count("expected a name that ends in .onnx") == 2


def test_files_that_are_no_exports_are_named(tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    with pytest.raises(ValueError, match="does not exist"):
        load_export(path)
    path.write_bytes(b"not a model")
    with pytest.raises(ValueError, match="model.onnx, which cannot be read"):
        load_export(path)


@pytest.mark.slow
def test_a_semantic_model_answers_as_its_run(trained, tmp_path, capsys):
    pytest.importorskip("jax2onnx")
    folder, scores = trained
    path = tmp_path / "model.onnx"
    assert run(["export", "--workdir", str(folder), "--format", "onnx", "--output", str(path)]) == 0
    assert "largest differences on 10 images of shapes: pixels" in capsys.readouterr().out
    model = load_export(path)
    assert model.export.description["differences"]["pixels"] <= 0.001
    images = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8))
    for expected, found in zip(load(folder).predict(images), model.predict(images, batch=3), strict=True):
        assert np.mean(expected.mask != found.mask) <= 0.001
    assert run(["evaluate", "--model", str(path)]) == 0
    found = json.loads(capsys.readouterr().out)["val"]
    assert found["pixel_accuracy"] == pytest.approx(scores["val"]["pixel_accuracy"], abs=1e-4)


@pytest.mark.slow
def test_an_ensemble_answers_as_its_runs(ensemble_runs, tmp_path, capsys):
    pytest.importorskip("jax2onnx")
    path = tmp_path / "model.onnx"
    assert run(["export", str(ensemble_runs), "--format", "onnx", "--output", str(path)]) == 0
    assert "largest differences on 10 images of shapes: pixels" in capsys.readouterr().out
    images = list(np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8))
    found = load_export(path).predict(images, batch=3)
    for expected, one in zip(load(ensemble_runs).predict(images), found, strict=True):
        assert np.mean(expected.mask != one.mask) <= 0.001


@pytest.mark.slow
def test_a_detector_answers_as_its_run(tmp_path, capsys):
    pytest.importorskip("jax2onnx")
    from jaxseg.inference.export_function import make_function
    from jaxseg.inference.onnx_export import export_onnx

    trained = tiny_exported()
    image = np.random.default_rng(0).integers(0, 256, (1, 160, 160, 3), np.uint8)
    path = tmp_path / "model.onnx"
    onnx_files.write_onnx(path, export_onnx(trained, (160, 160)))
    found = load_export(path).call(image)
    expected = jax.jit(make_function(trained, (160, 160)))(image)
    assert expected["valid"].sum() > 0
    for name, tolerance in {"valid": 0, "classes": 0, "scores": 1e-4, "boxes": 1e-2, "masks": 1e-3}.items():
        np.testing.assert_allclose(np.float32(found[name]), np.float32(expected[name]), atol=tolerance, err_msg=name)
    check_scores(trained, path, capsys)
