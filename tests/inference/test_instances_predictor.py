"""A detector's weights and photographs in, COCO results in the photographs' own pixels out."""

import json
from functools import partial
from typing import NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from safetensors.numpy import save_file

from configs import mask_rcnn_coco
from jaxseg import predict
from jaxseg.config.resolution import fill_normalization
from jaxseg.data.coco import rle
from jaxseg.inference import InstanceResult, Predictor, instances, load, pretrained
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.instance_result import SHOWN_SCORE
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.models.mask_rcnn.postprocessing import DetectionConfig
from jaxseg.models.table import INSTANCES, make_model
from jaxseg.weights.torchvision import to_state_dict

NARROW = {"width": 8, "channels": 16, "hidden": 16}


@pytest.fixture(scope="module")
def config():
    config = mask_rcnn_coco.get_config()
    config.model.update(NARROW)
    config.data.min_size, config.data.max_size = 64, 128
    fill_normalization(config)
    return config


@pytest.fixture(scope="module")
def weights(config, tmp_path_factory):
    """A file of random weights under torchvision's names."""
    rng = np.random.default_rng(0)

    def random(leaf):
        if len(leaf.shape) < 2:
            return np.ones(leaf.shape, np.float32)
        return (rng.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))).astype(np.float32)

    shapes = pretrained.abstract_variables(make_model(INSTANCES, config, 91))
    path = tmp_path_factory.mktemp("weights") / "detector.safetensors"
    save_file(to_state_dict(jax.tree.map(random, shapes), pretrained.MAPPINGS[1]), path)
    return str(path)


@pytest.mark.slow
def test_results_are_cocos_and_in_the_pixels_of_the_photograph(config, weights, tmp_path):
    rng = np.random.default_rng(1)
    Image.fromarray(rng.integers(0, 256, (75, 100, 3), np.uint8)).save(tmp_path / "lying.png")
    assert predict.predict(partial(predict.of_weights, config, weights), [str(tmp_path)], tmp_path / "out") == 0
    results = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert results
    named = {"mask_file", "overlay_file"}
    for result in results:
        assert set(result) - named == {"image_id", "file_name", "category_id", "bbox", "score", "segmentation"}
        assert 1 <= result["category_id"] <= 90
        x, y, width, height = result["bbox"]
        assert min(x, y) >= 0
        assert x + width <= 100.01
        assert y + height <= 75.01
        assert result["segmentation"]["size"] == [75, 100]
    masks = rle.decode([result["segmentation"] for result in results], (75, 100))
    scores = [result["score"] for result in results]
    assert scores == sorted(scores, reverse=True)
    with Image.open(tmp_path / "out" / "lying_mask.png") as mask:
        numbers = np.asarray(mask)
    # The best object hides the others where they overlap.
    np.testing.assert_array_equal(numbers == 1, (masks[0] == 1) & (scores[0] >= SHOWN_SCORE))


def test_weights_that_do_not_fit_are_refused(config, weights, tmp_path):
    wide = config.copy_and_resolve_references()
    wide.model.hidden = 32
    with pytest.raises(ValueError, match=r"roi_heads.box_head.fc6.bias: shape \(16,\), expected \(32,\)"):
        load(wide, weights)
    with pytest.raises(ValueError, match="no weights 'nowhere.pth'"):
        load(config, "nowhere.pth")


def test_what_is_drawn_has_the_colour_of_the_object_that_it_is():
    masks = np.zeros((4, 20, 40), bool)
    for i in range(4):
        masks[i, 5:15, 10 * i : 10 * i + 9] = True
    titles = ["a", "b", "c"]
    truth = instances.pictures.Annotations(list(masks[:3]), np.zeros((3, 4)), titles, instances.distinct_colors(3))
    # The second again, the fourth, which nobody annotated, the first a little off, and that once more.
    off = np.roll(masks[0], 1, axis=0)
    found = truth._replace(masks=[masks[1], masks[3], off, masks[0]], titles=["b", "d", "a", "a"])
    colors = [tuple(color) for color in instances._colors_like(truth, found)]
    assert colors[0] == tuple(truth.colors[1])
    assert colors[2] == tuple(truth.colors[0])
    assert len({*colors, *map(tuple, truth.colors)}) == 5


class Detector(NamedTuple):
    """A detector that finds the same object in every image."""

    detection: DetectionConfig = DetectionConfig()

    @chex.assert_max_traces(n=4)
    def apply(self, variables, image, sizes, extents):
        del variables, sizes, extents
        count = image.shape[0]
        box = jnp.tile(jnp.array([[[2.0, 4.0, 40.0, 30.0]]]), (count, 1, 1))
        ones = jnp.ones((count, 1))
        masks = jnp.full((count, 1, 28, 28), 0.9) + 0 * image.mean()
        return Instances(box, ones, ones.astype(int), ones > 0, masks)


def test_photographs_of_all_sizes_share_four_programs(config):
    trained = TrainedModel(config, Detector(), {}, ("background", "thing"), np.zeros((2, 3), np.uint8), (0, 1))
    sizes = (64, 64), (64, 96), (80, 121), (30, 200), (200, 30), (90, 50), (128, 64), (333, 500), (101, 99)
    predictor = Predictor(trained)
    for height, width in sizes:
        result = predictor.predict(np.zeros((height, width, 3), np.uint8))
        assert isinstance(result, InstanceResult)
        assert result.mask.shape == (height, width)
        assert result.summary == "thing 1.00"
