"""The Python API: a predictor of a run or of weights, and results."""

import dataclasses
from functools import partial

import cv2
import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_experiment
from PIL import Image, ImageOps

import jaxseg
from jaxseg.commands import predict
from jaxseg.data.coco import rle
from jaxseg.inference import InstanceResult, Predictor, SemanticResult, load
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.images import check_array, from_pil, to_image
from jaxseg.run.state import eval_variables


@pytest.fixture(scope="module")
def experiment_and_state():
    experiment, source = tiny_experiment(tiny_config())
    return experiment, experiment.steps.init(), source


@pytest.fixture(scope="module")
def predictor(experiment_and_state):
    """A predictor with random weights."""
    experiment, state, source = experiment_and_state
    variables = eval_variables(state)
    classes = source.class_names, source.palette, (0, 1, 2, 3)
    return Predictor(
        TrainedModel(experiment.config, experiment.task.model.module, variables, *classes, experiment.mesh)
    )


def noise(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def test_a_mask_is_the_argmax_of_the_resized_logits(predictor, experiment_and_state):
    experiment, state, _ = experiment_and_state
    image = noise(70, 50, 3)
    seen = cv2.resize(image, (32, 32), interpolation=cv2.INTER_LINEAR)
    logits = np.asarray(experiment.steps.predict(state, seen[None]))[0]
    expected = cv2.resize(logits, (50, 70), interpolation=cv2.INTER_LINEAR)
    mask = predictor.predict(image).mask
    assert mask.dtype == np.uint8
    assert (mask != expected.argmax(-1)).mean() < 1e-3  # Ties are rounded in another order.


def test_fields_of_a_runs_config_are_changed_for_a_prediction(trained, tmp_path):
    image = noise(48, 80, 3)
    run, _ = trained
    stretched, native = jaxseg.load(run), jaxseg.load(run, data={"resize": "none"})
    assert stretched.trained.config.data.resize == "stretch"
    assert native.trained.config.data.resize == "none"
    assert (stretched.predict(image).mask != native.predict(image).mask).any()
    Image.fromarray(image).save(tmp_path / "image.png")
    command = ["--workdir", str(run), "--input", str(tmp_path / "image.png")]
    assert predict.main([*command, "--output", str(tmp_path / "out"), "--config.data.resize=none"]) == 0
    written = np.asarray(Image.open(tmp_path / "out/image_mask.png"))
    np.testing.assert_array_equal(written, native.predict(image).mask)
    assert jaxseg.load(run, data={"image_size": 16}).trained.config.data.image_size == (16, 16)
    with pytest.raises(ValueError, match="data.resize is 'fill'; expected"):
        jaxseg.load(run, data={"resize": "fill"})
    with pytest.raises(ValueError, match="the shape of the parameter .* in the changed model .* Change only fields"):
        jaxseg.load(run, model={"features": 3})


def test_a_run_is_loaded_and_its_images_are_of_any_size(trained, tmp_path):
    model = load(trained[0])
    assert model.class_names == ("background", "disc", "square", "triangle")
    Image.fromarray(noise(20, 30, 3)).save(tmp_path / "small.png")
    given = [tmp_path / "small.png", noise(1, 1), Image.fromarray(noise(1, 300, 3)), noise(300, 1, 3)]
    results = model.predict(given, batch=3)
    assert [result.mask.shape for result in results] == [(20, 30), (1, 1), (1, 300), (300, 1)]
    alone = model.predict(str(tmp_path / "small.png"))
    np.testing.assert_array_equal(results[0].mask, alone.mask)
    assert (alone.name, results[1].name) == ("small", "image")


def test_confidence_is_the_largest_of_the_probabilities(predictor):
    result = predictor.predict(noise(40, 60, 3), confidence=True, probabilities=True)
    assert result.probabilities.shape == (40, 60, 4)
    np.testing.assert_allclose(result.probabilities.sum(axis=-1, dtype=int), 65535, atol=2)
    np.testing.assert_allclose(result.confidence, result.probabilities.max(axis=-1) / 257, atol=0.51)
    chosen = np.take_along_axis(result.probabilities, result.mask[..., None].astype(int), axis=-1)[..., 0]
    assert (result.probabilities.max(axis=-1) - chosen).max() <= 1  # Nearly equal ones are rounded to the same number.


def test_options_are_checked(predictor):
    for options, message in (
        ({"tile": 5}, "tile is 5; expected 0"),
        ({"overlap": 1.0}, "overlap is 1.0"),
        ({"batch": 0}, "batch is 0"),
        ({"scales": ()}, "scales is"),
        ({"scales": "2"}, "scales is '2'; expected one or more numbers"),
        ({"tile": "64"}, "tile is '64'; expected 0"),
        ({"tile": 64.5}, "tile is 64.5; expected 0"),
        ({"overlap": "a"}, "overlap is 'a'; expected 0 to less than 1"),
        ({"flips": "yes"}, "flips is 'yes'; expected True or False"),
        ({"probabilities": "npy"}, "probabilities is 'npy'; expected True or False"),
        ({"batch": 2.5}, "batch is 2.5; expected a whole number"),
        ({"flip": True}, "flip is not an option; expected one of batch"),
    ):
        with pytest.raises(ValueError, match=message):
            predictor.predict(noise(8, 8, 3), **options)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="is not the folder of a run"):
        load(tmp_path)
    with pytest.raises(ValueError, match="weights is None"):
        load(tiny_config())
    with pytest.raises(ValueError, match="source is None; expected the workdir of a run"):
        load(None)
    with pytest.raises(ValueError, match="class_names is given without weights"):
        load(tmp_path, class_names=["a"])
    (tmp_path / "a.jaxseg").touch()
    with pytest.raises(ValueError, match="checkpoint is 7, but .*a.jaxseg is an export"):
        load(tmp_path / "a.jaxseg", checkpoint=7)


SHAPES = SemanticResult(
    np.full((3, 4, 3), 100, np.uint8),
    np.array([[0, 0, 1, 1], [0, 0, 0, 1], [2, 0, 0, 0]], np.uint8),
    ("background", "cat", "dog", "cow"),
    np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [0, 0, 255]], np.uint8),
    (0, 17, 18, 21),
)


def test_a_semantic_result_lists_its_classes():
    assert SHAPES.class_ids.tolist() == [0, 1, 2]
    assert SHAPES.boxes.tolist() == [[0, 0, 4, 3], [2, 0, 4, 2], [0, 2, 1, 3]]
    assert SHAPES.masks.sum(axis=(1, 2)).tolist() == [8, 3, 1]
    assert SHAPES.scores is None
    confident = dataclasses.replace(SHAPES, confidence=np.full((3, 4), 51, np.uint8))
    np.testing.assert_allclose(confident.scores, 0.2)
    entries = SHAPES.to_coco(5)
    assert [(entry["image_id"], entry["category_id"], entry["area"]) for entry in entries] == [
        (5, 0, 8), (5, 17, 3), (5, 18, 1),
    ]  # fmt: skip
    np.testing.assert_array_equal(rle.decode([one["segmentation"] for one in entries], (3, 4)), SHAPES.masks)
    assert repr(SHAPES) == "SemanticResult(4x3: background 66.7%, cat 25.0%, dog 8.3%)", "no class without a pixel"
    many = dataclasses.replace(SHAPES, mask=np.repeat(np.arange(12), 12)[None], class_names=tuple("abcdefghijkl"))
    assert many.summary == ", ".join(f"{name} 8.3%" for name in "abcdefgh") + ", 4 more"


def test_results_are_saved_and_shown(tmp_path):
    paths = SHAPES.save(tmp_path / "new", "one")
    with Image.open(paths["mask"]) as mask:
        assert mask.mode == "P"
        np.testing.assert_array_equal(np.asarray(mask), SHAPES.mask)
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["one_mask.png", "one_overlay.png"]
    wide = dataclasses.replace(SHAPES, image=noise(10, 3000, 3), mask=np.zeros((10, 3000), np.uint8))
    assert wide._repr_png_().startswith(b"\x89PNG")
    assert max(cv2.imdecode(np.frombuffer(wide._repr_png_(), np.uint8), 1).shape) == 1024


def test_large_overlays_are_drawn_in_strips(monkeypatch):
    image, mask = noise(50, 20, 3), noise(50, 20) % 4
    result = dataclasses.replace(SHAPES, image=image, mask=mask)
    whole = result.overlay()
    monkeypatch.setattr("jaxseg.inference.semantic_result.OVERLAY_PIXELS", 7 * 20)
    np.testing.assert_array_equal(result.overlay(), whole)


def test_huge_masks_are_tiled_tiffs(tmp_path, monkeypatch):
    mask = (np.arange(700 * 900).reshape(700, 900) // 1000 % 4).astype(np.uint8)
    result = dataclasses.replace(SHAPES, image=np.zeros((700, 900, 3), np.uint8), mask=mask)
    monkeypatch.setattr("jaxseg.inference.mask_files.MOST_PNG", 1000)
    path = result.save(tmp_path, overlay=False)["mask"]
    assert path.name == "image_mask.tif"
    with Image.open(path) as picture:
        assert (picture.mode, picture.tile[0][0]) == ("P", "libtiff")
        np.testing.assert_array_equal(np.asarray(picture), mask)
        assert picture.convert("RGB").getpixel((0, 1)) == tuple(SHAPES.palette[mask[1, 0]])


def test_an_instance_result_lists_its_objects():
    boxes = np.array([[0, 0, 4, 4], [2, 2, 8, 6], [0, 0, 2, 2]], np.float32)
    scores, classes = np.array([0.9, 0.6, 0.2], np.float32), np.array([1, 2, 1], np.int32)
    masks = np.ones((3, 28, 28), np.float32)
    result = InstanceResult(noise(6, 8, 3), boxes, scores, classes, masks, ("background", "cat", "dog"), (0, 5, 9))
    assert result.names == ["cat", "dog", "cat"]
    assert result.summary == "cat 0.90, dog 0.60"
    assert result.masks.shape == (3, 6, 8)
    assert set(np.unique(result.mask)) == {0, 1, 2}  # The last object scores less than 0.5.
    assert result.mask[3, 3] == 1  # The best object hides the others.
    assert [entry["category_id"] for entry in result.to_coco(3)] == [5, 9, 5]
    assert result.overlay().shape == (6, 8, 3)
    nothing = dataclasses.replace(result, boxes=boxes[:0], scores=scores[:0], class_ids=classes[:0])
    assert (nothing.summary, nothing.mask.any(), nothing.to_coco()) == ("nothing found", False, [])
    assert nothing.masks.shape == (0, 6, 8)


def test_arrays_are_checked_and_brought_to_rgb():
    gray = np.array([[0, 128, 255]], np.uint8)
    for same in (gray, gray[..., None], gray.astype(np.int64), gray / 255, (gray / 255).astype(np.float32)):
        np.testing.assert_array_equal(check_array(same), np.repeat(gray[..., None], 3, axis=-1))
    clear = np.array([[[10, 20, 30, 0], [10, 20, 30, 255]]], np.uint8)
    np.testing.assert_array_equal(check_array(clear), [[[255, 255, 255], [10, 20, 30]]])
    assert check_array(np.array([[True, False]])).max() == 255
    for wrong, message in (
        (np.zeros((2, 2, 3)) + 200, "values from 200.0 to 200.0 .* expected uint8, or real numbers in 0..1"),
        (np.full((2, 2), np.nan), "real numbers in 0..1"),
        (np.zeros((2, 2), np.uint16), "type uint16; expected uint8"),
        (np.full((2, 2), -1), "from -1 to -1"),
        (np.zeros((3, 2, 2), np.uint8), r"shape \(3, 2, 2\); expected \[height, width\].*channels to the end"),
        (np.zeros((0, 2, 3), np.uint8), "shape"),
        (np.zeros((2, 2, 2, 3), np.uint8), "several images as a list"),
    ):
        with pytest.raises(ValueError, match=message):
            check_array(wrong)


def test_pil_images_are_read_like_files():
    alpha = Image.fromarray(np.array([[[10, 20, 30, 0]]], np.uint8))
    assert from_pil(alpha).tolist() == [[[255, 255, 255]]]
    assert from_pil(Image.fromarray(noise(3, 4)).convert("P")).shape == (3, 4, 3)
    with pytest.raises(ValueError, match="expected uint8"):
        from_pil(Image.fromarray(np.full((2, 2), 40000, np.uint16)))


def test_a_pil_image_is_upright_as_its_file_is(tmp_path):
    exif = Image.Exif()
    exif[274] = 6  # the camera was turned: rows and columns are exchanged
    path = tmp_path / "a.png"
    Image.fromarray(noise(3, 4)).save(path, exif=exif)
    image = Image.open(path)
    np.testing.assert_array_equal(from_pil(image), to_image(path)[0])
    assert from_pil(image).shape == (4, 3, 3)
    np.testing.assert_array_equal(from_pil(ImageOps.exif_transpose(image)), to_image(path)[0])


def test_more_than_128_classes_are_predicted(experiment_and_state):
    experiment, _, _ = experiment_and_state
    config, count = experiment.config, 150
    names, palette = tuple(map(str, range(count))), np.zeros((count, 3), np.uint8)
    model = experiment.task.model.module.clone(classes=count)
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), np.zeros((1, 32, 32, 3), np.float32))
    result = Predictor(TrainedModel(config, model, variables, names, palette, tuple(range(count)))).predict(noise(9, 9))
    assert result.mask.shape == (9, 9)
    assert result.mask.max() > 0
