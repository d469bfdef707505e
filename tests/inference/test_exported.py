"""Predictions with programs of exports, which simple functions stand in for."""

import json

import ml_collections
import numpy as np
import pytest
from experiments import tiny_config

from jaxseg.commands.export import write_checked
from jaxseg.data.semantic.batches import eval_batches
from jaxseg.data.sources import open_source
from jaxseg.inference.export_scoring import score_export
from jaxseg.inference.exported import ExportedPredictor
from jaxseg.inference.stablehlo import Export


class Program:
    """Calls a function on batches and notes their sizes."""

    def __init__(self, function):
        self.function, self.sizes = function, []

    def call(self, images):
        self.sizes.append(images.shape)
        return self.function(images)


def predictor(function, task="semantic", **description):
    config = ml_collections.ConfigDict({"task": task, "data": {}, "model": {"name": "fake"}})
    content = {"config": config.to_dict(), "palette": [[0, 0, 0], [9, 9, 9]], "category_ids": [0, 1]}
    content["class_names"] = ["dark", "bright"]
    return ExportedPredictor(Export(Program(function), {**content, **description}))


def bright(images):
    return {"label": (images[..., 0] > 127).astype(np.uint8)}


@pytest.fixture
def halves():
    image = np.zeros((8, 12, 3), np.uint8)
    image[:, 6:] = 255
    return image


def test_a_program_of_one_size_sees_that_size_and_answers_in_the_pixels_of_the_image(halves):
    model = predictor(bright, size=[4, 4])
    result = model.predict(halves)
    assert model.export.program.sizes == [(1, 4, 4, 3)]
    assert result.mask.tolist() == [[0] * 6 + [1] * 6] * 8


def test_a_program_of_any_size_sees_the_image_itself(halves):
    model = predictor(bright)
    assert model.predict([halves, halves[:5]])[1].mask.shape == (5, 12)
    assert model.export.program.sizes == [(1, 8, 12, 3), (1, 5, 12, 3)]


def test_boxes_are_in_the_pixels_of_the_image(halves):
    def find(images):
        valid = np.broadcast_to(np.array([True, False]), (len(images), 2))
        boxes = np.broadcast_to(np.array([[1, 2, 3, 4], [0, 0, 1, 1]], np.float32), (len(images), 2, 4))
        shown = {"classes": np.ones((len(images), 2), np.int32), "masks": np.ones((len(images), 2, 28, 28), np.float32)}
        return {"boxes": boxes, "scores": np.full((len(images), 2), 0.5, np.float32), "valid": valid, **shown}

    result = predictor(find, "instances", size=[4, 4]).predict(halves)
    assert result.boxes.tolist() == [[3, 4, 9, 8]]


def test_a_program_that_takes_one_image_at_a_time_is_called_once_per_image(halves):
    model = predictor(bright, batch=1)
    results = model.predict([halves, halves[:, ::-1]], batch=2)
    assert model.export.program.sizes == [(1, 8, 12, 3)] * 2
    assert results[1].mask[0].tolist() == [1] * 6 + [0] * 6


@pytest.mark.parametrize("predicted", [None, (16, 20)])
def test_a_model_is_scored_where_it_predicts(predicted):
    config = tiny_config(task="semantic")
    source = open_source(config.data, config.data.val)

    def nothing(images):
        return {"label": np.zeros(images.shape[:3], np.uint8)}

    content = {"config": json.loads(config.to_json()), "class_names": list(source.class_names), "predicted": predicted}
    model = predictor(nothing, **content)
    seen = (slice(None), slice(None)) if predicted is None else (slice(8, 24), slice(6, 26))
    with eval_batches(source, config.data, batch_size=8) as batches:
        labels = np.concatenate([batch.label[batch.valid][:, *seen] for batch in batches])
    scores = score_export(model, config.data, source)
    assert scores["pixel_accuracy"] == pytest.approx(np.mean(labels == 0))
    assert 0 < scores["pixel_accuracy"] < 1


def test_an_export_is_written_only_if_it_answers_as_the_run(tmp_path, capsys):
    path = tmp_path / "model.jaxseg"
    content = {"config": json.loads(tiny_config().to_json()), "input": "uint8"}
    run, same = predictor(bright, **content), predictor(bright, **content)
    other = predictor(lambda images: {"label": 1 - bright(images)["label"]}, **content)
    with pytest.raises(ValueError, match=r"the export's pixels differ by 1; expected at most 0\.01"):
        write_checked(run, path, other.export, lambda path, export: path.write_bytes(b"model"))
    assert not path.exists()
    write_checked(run, path, same.export, lambda path, export: path.write_bytes(b"model"))
    assert path.read_bytes() == b"model"
    assert same.export.description["differences"] == {"images": "10 images of shapes", "pixels": 0}
    assert capsys.readouterr().out.count("largest differences on 10 images of shapes: pixels") == 2


def test_a_program_of_another_size_cannot_be_scored_at_the_size_of_the_network():
    config = tiny_config()
    model = predictor(bright, size=[8, 8], config=json.loads(config.to_json()))
    with pytest.raises(ValueError, match=r"takes images of \(8, 8\); expected any size"):
        score_export(model, config.data, None)
