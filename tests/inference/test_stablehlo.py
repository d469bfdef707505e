"""Exports answer as their runs do: through the API, the command, and ten lines of jax and numpy."""

import json
import zipfile

import chex
import cv2
import jax
import numpy as np
import pytest
from export_checks import check_scores, tiny_exported

import jaxseg
from jaxseg.commands import run
from jaxseg.inference import load
from jaxseg.inference import stablehlo as export
from jaxseg.inference.exported import load_export
from jaxseg.inference.predictor import Predictor


@pytest.fixture(scope="module")
def photo():
    rng = np.random.default_rng(0)
    return np.clip(np.cumsum(rng.integers(-9, 10, (45, 70, 3)), axis=1) + 128, 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def exported(trained, tmp_path_factory):
    """The file that the command writes for the tiny run."""
    path = tmp_path_factory.mktemp("exported") / "model.jaxseg"
    assert run(["export", str(trained[0]), "--output", str(path)]) == 0
    return path


def test_a_run_is_given_once(capsys):
    assert run(["export", "runs/x", "--workdir", "runs/x", "--output", "model.jaxseg"]) == 2
    assert run(["export", "--output", "model.jaxseg"]) == 2
    assert capsys.readouterr().err.count("give either the folder of a run, or --config and --weights") == 2


def test_the_command_writes_a_file_that_answers_as_the_run_does(trained, exported, photo):
    folder, path = trained[0], exported
    photo = photo[:32, :32]  # the size of the run's images, so that nothing is resized
    expected, found = load(folder).predict(photo), load_export(path).predict(photo)
    assert np.mean(expected.mask != found.mask) <= 0.001
    assert found.class_names == expected.class_names
    differences = json.loads(zipfile.ZipFile(path).read("model.json"))["differences"]
    assert differences["images"] == "10 images of shapes"
    assert differences["pixels"] <= 0.01


def test_fields_of_the_runs_config_are_changed_for_an_export(trained, exported, tmp_path, photo):
    path, photo = tmp_path / "shifted.jaxseg", photo[:32, :32]
    assert run(["export", str(trained[0]), "--output", str(path), "--config.data.mean=0.9,0.5,0.1"]) == 0
    expected, found = jaxseg.load(trained[0], data={"mean": (0.9, 0.5, 0.1)}).predict(photo), load_export(path)
    assert np.mean(expected.mask != found.predict(photo).mask) <= 0.001
    assert np.mean(expected.mask != load_export(exported).predict(photo).mask) > 0.01


def test_a_file_has_no_fields_to_change(capsys):
    assert run(["serve", "--model", "model.jaxseg", "--config.data.resize=none"]) == 2
    assert "--config.data.resize changes a config, which is not given" in capsys.readouterr().err


def test_a_file_has_the_scores_of_its_run(trained, exported, capsys):
    assert run(["evaluate", "--model", str(exported)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == trained[1].keys()
    for split, expected in trained[1].items():
        assert set(found[split]) == set(expected) - {"loss"}
        assert found[split]["pixel_accuracy"] == pytest.approx(expected["pixel_accuracy"], abs=1e-4)
        assert found[split]["iou"] == pytest.approx(expected["iou"], abs=1e-3)


def test_evaluate_takes_a_run_or_a_file(exported, capsys):
    assert run(["evaluate", "--model", str(exported), "--workdir", "runs/x"]) == 2
    assert "expected it alone" in capsys.readouterr().err


def test_a_file_is_served(exported, monkeypatch, photo):
    uvicorn, testclient = pytest.importorskip("uvicorn"), pytest.importorskip("starlette.testclient")
    replies = {}

    def visit(server, sockets):
        """Uses the application instead of listening for clients."""
        with testclient.TestClient(server.config.app, base_url="http://127.0.0.1") as http:
            content = cv2.imencode(".png", photo[:32, :32])[1].tobytes()
            replies["info"] = http.get("/info").json()
            replies["plain"] = http.post("/predict", content=content)
            replies["flips"] = http.post("/predict?flips=true", content=content)

    monkeypatch.setattr(uvicorn.Server, "run", visit)
    assert not run(["serve", "--model", str(exported), "--port", "0", "--batch", "1"])
    assert replies["info"]["can_vary"] is False
    assert (replies["plain"].status_code, replies["plain"].json()["task"]) == (200, "semantic")
    assert replies["plain"].json()["confidence_png"] is None
    assert (replies["flips"].status_code, list(replies["flips"].json())) == (400, ["error"])


def test_jax_and_numpy_run_a_file_on_batches_of_any_size(exported, photo):
    program = jax.export.deserialize(bytearray(zipfile.ZipFile(exported).read("program.bin")))
    assert program.platforms == ("cpu", "cuda", "tpu")
    two = np.asarray(program.call(np.stack([photo, photo[:, ::-1]]))["label"])
    chex.assert_shape(two, (2, 45, 70))
    one = np.asarray(program.call(photo[None, :33, :20])["label"])
    chex.assert_shape(one, (1, 33, 20))
    np.testing.assert_array_equal(one[0], load_export(exported).predict(photo[:33, :20]).mask)


def test_a_file_is_loaded_as_a_run_is(trained, exported, photo):
    found, expected = (jaxseg.load(source).predict(photo[:32, :32]) for source in (exported, trained[0]))
    np.testing.assert_array_equal(found.mask, expected.mask)
    with pytest.raises(ValueError, match="exported program; its config cannot be changed. Load the run"):
        jaxseg.load(exported, data={"resize": "none"})


def test_a_file_of_weights_needs_a_config(tmp_path):
    (tmp_path / "model.pth").write_bytes(b"")
    with pytest.raises(ValueError, match=r"weights without a config. Name one: load\('mask_rcnn_coco', weights="):
        jaxseg.load(tmp_path / "model.pth")


def test_files_that_are_no_exports_are_named(tmp_path):
    path = tmp_path / "model.jaxseg"
    with pytest.raises(ValueError, match="does not exist"):
        load_export(path)
    path.write_bytes(b"not a zip")
    with pytest.raises(ValueError, match="model.jaxseg, which cannot be read"):
        load_export(path)


def test_an_exported_model_refuses_options_of_runs(exported):
    with pytest.raises(ValueError, match="no option except batch"):
        load_export(exported).predict(np.zeros((32, 32, 3), np.uint8), flips=True)


@pytest.mark.slow
def test_a_detectors_file_finds_what_the_run_finds_and_has_its_scores(photo, tmp_path, capsys):
    trained = tiny_exported()
    path = tmp_path / "model.jaxseg"
    export.write_export(path, export.export_model(trained))
    expected = Predictor(trained).predict(photo)
    found = load_export(path).predict(photo)
    np.testing.assert_allclose(np.sort(found.scores), np.sort(expected.scores), atol=2e-3)
    assert len(found.boxes) == len(expected.boxes) > 0
    check_scores(trained, path, capsys)
