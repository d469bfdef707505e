"""Images cut into tiles: equal to the whole where tiles see enough, bounded in memory, merged without doubles."""

import itertools
import os
import subprocess
import sys
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import tiny_config

from jaxseg.inference import Predictor, tiles
from jaxseg.inference.engine import Engine, Options, Prepared, TrainedModel
from jaxseg.inference.merging import Found, merge_found, mirror, suppress
from jaxseg.inference.semantic import compile_forward
from jaxseg.models.unet import UNet


def trained_model(model, classes=3, **fields):
    """A model with random weights and lively logits."""
    config = tiny_config(**fields)
    variables = jax.jit(partial(model.init, train=False))(jax.random.key(0), np.zeros((1, 64, 64, 3), np.float32))
    names = tuple("abc"[:classes])
    return TrainedModel(config, model, variables, names, np.zeros((classes, 3), np.uint8), tuple(range(classes)))


def photograph(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def tiled_probabilities(trained, image, **options):
    return Predictor(trained).predict(image, probabilities=True, **options).probabilities / 65535


def whole_probabilities(trained, image):
    logits = compile_forward(trained, Options())(trained.variables, image[None])
    return np.asarray(jax.nn.softmax(logits[0]))


@pytest.mark.parametrize(
    "size",
    [
        (130, 65),
        pytest.param((200, 333), marks=pytest.mark.slow),
        pytest.param((64, 64), marks=pytest.mark.slow),
        pytest.param((20, 500), marks=pytest.mark.slow),
    ],
)
def test_tiles_equal_the_whole_where_they_see_all_that_it_sees(size):
    trained = trained_model(UNet(classes=3, features=4, depth=1))
    seen = 8  # Pixels on either side that an output depends on are fewer than this.
    image = photograph(*size)
    whole, tiled = whole_probabilities(trained, image), tiled_probabilities(trained, image, tile=64, batch=3)
    far = np.ones(size, bool)
    for axis, length in enumerate(size):
        starts = tiles.tile_starts(length, 64, 0.5, 2)
        edges = [edge for start in starts for edge in (start, start + 64) if 0 < edge < length]
        distance = np.min([np.abs(np.arange(length) + 0.5 - edge) for edge in [*edges, np.inf]], axis=0)
        far &= np.expand_dims(distance > seen, 1 - axis)
    assert far.mean() > 0.2
    np.testing.assert_allclose(tiled[far], whole[far], atol=1e-4)
    assert np.abs(tiled - whole).mean() < 0.02


def test_models_of_valid_convolutions_predict_the_whole_image_from_mirrored_borders():
    trained = trained_model(UNet(classes=3, features=4, depth=1, padding="valid", norm="none"))
    image = photograph(150, 120)
    tiled = tiled_probabilities(trained, image, tile=64, overlap=0.0)
    whole = whole_probabilities(trained, image)
    logits = jax.jit(partial(trained.model.apply, train=False))(trained.variables, np.zeros((1, 64, 64, 3)))["logits"]
    margin = (64 - logits.shape[1]) // 2
    inner = np.s_[margin:-margin, margin:-margin]
    np.testing.assert_allclose(tiled[inner], whole[inner], atol=1e-4)
    assert not np.allclose(tiled[0], tiled[margin])  # The border is predicted, not repeated.


class Brightness(nn.Module):
    """Class 1 where a pixel is bright, without looking around."""

    classes: int = 2
    coarsest_stride = 1

    @nn.compact
    def __call__(self, image, *, train, extents=None):
        bright = image.mean(axis=-1, keepdims=True)
        return {"logits": jnp.concatenate([-bright, bright], axis=-1) * self.param("scale", nn.initializers.ones, ())}


@pytest.mark.parametrize("size", [(1, 1), (1, 5000), (5000, 1), (700, 900)])
@pytest.mark.parametrize(
    "options",
    [{"tile": 256}, {"flips": True}, pytest.param({"tile": 100, "overlap": 0.9, "batch": 4}, marks=pytest.mark.slow)],
)
def test_every_pixel_is_predicted_at_its_place(size, options):
    trained = trained_model(Brightness(), classes=2, data__image_size=size)
    image = photograph(*size)
    mask = Predictor(trained).predict(image, **options).mask
    mean = image.mean(axis=-1)
    clear = np.abs(mean - 127.5) > 1
    np.testing.assert_array_equal(mask[clear], (mean > 127.5)[clear])


@pytest.mark.slow
def test_flips_and_scales_are_averaged():
    trained = trained_model(UNet(classes=3, features=4, depth=1), data__image_size=(32, 48))
    image = photograph(32, 48)
    forward = compile_forward(trained, Options())
    straight = jax.nn.softmax(forward(trained.variables, image[None]))[0]
    mirrored = jax.nn.softmax(forward(trained.variables, image[None, :, ::-1]))[0, :, ::-1]
    got = Predictor(trained).predict(image, flips=True, probabilities=True).probabilities / 65535
    np.testing.assert_allclose(got, (straight + mirrored) / 2, atol=1e-4)
    several = Predictor(trained).predict(image, scales=(0.5, 1.0), flips=True, probabilities=True)
    assert np.abs(several.probabilities / 65535 - got).mean() > 1e-3
    np.testing.assert_allclose(several.probabilities.sum(axis=-1, dtype=int), 65535, atol=2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        pytest.param({"flips": True}, marks=pytest.mark.slow),
        pytest.param({"flips": True, "scales": (1.0, 0.5)}, marks=pytest.mark.slow),
    ],
)
def test_padding_changes_no_prediction(options):
    trained = trained_model(UNet(classes=3, features=4, depth=1))
    forward = compile_forward(trained, Options(**options))
    image = photograph(36, 44)
    whole = forward(trained.variables, image[None])[0]
    padded = np.zeros((1, 72, 64, 3), np.uint8)
    padded[0, :36, :44] = image
    inner = forward(trained.variables, padded, np.array([[36, 44]], np.int32))[0, :36, :44]
    # At another scale, the last row of the padded image is interpolated with zeros.
    far = np.s_[:24, :32] if "scales" in options else np.s_[:]
    np.testing.assert_allclose(jax.nn.softmax(inner)[far], jax.nn.softmax(whole)[far], atol=1e-4)


def squares_engine():
    """An engine that finds bright squares, each with its whole box if it sees all of it."""

    def finish(prepared, waiting):
        import cv2

        bright = (prepared.image[..., 0] > 127).astype(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(bright)
        boxes = np.array([[x, y, x + w, y + h] for x, y, w, h, _ in stats[1:]], np.float32).reshape(-1, 4)
        shares = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) / 1000
        count = len(boxes)
        return Found(boxes, 1 - shares, np.ones(count, np.int32), np.ones((count, 28, 28), np.float32))

    return Engine(lambda image: Prepared(image, (), 0), lambda prepared: [None] * len(prepared), finish)


def test_two_hundred_small_objects_are_recovered_once_each():
    image = np.zeros((600, 900, 3), np.uint8)
    rng = np.random.default_rng(0)
    cells = rng.permutation([(row, column) for row in range(0, 600, 40) for column in range(0, 880, 40)])[:200]
    expected = []
    for row, column in cells:
        height, width, down, right = (*rng.integers(8, 25, 2), *rng.integers(2, 12, 2))
        image[row + down : row + down + height, column + right : column + right + width] = 255
        expected.append((column + right, row + down, column + right + width, row + down + height))
    engine = tiles.find_in_tiles(squares_engine(), Options(tile=128, overlap=0.3, batch=4), 0.5)
    prepared = engine.prepare(image)
    found = engine.finish(prepared, engine.compute([prepared])[0])
    assert sorted(map(tuple, found.boxes.astype(int).tolist())) == sorted(map(tuple, np.array(expected).tolist()))
    assert np.all(np.diff(found.scores) <= 0)


def test_suppression_is_per_class_and_prefers_whole_objects():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 5, 10], [30, 0, 40, 10]], np.float32)
    scores = np.array([0.5, 0.6, 0.9, 0.1])
    assert suppress(boxes, scores, np.zeros(4, bool), 0.5).tolist() == [2, 1, 3]
    assert suppress(boxes, scores, np.array([0, 0, 1, 1], bool), 0.5).tolist() == [1, 3]
    found = Found(boxes, scores, np.array([1, 1, 2, 1]), np.zeros((4, 28, 28)))
    merged = merge_found([found, found], 0.5, most=2)
    assert merged.scores.tolist() == [0.9, 0.6]


def test_mirrored_detections_come_back():
    masks = np.arange(28 * 28, dtype=np.float32).reshape(1, 28, 28)
    found = Found(np.array([[1, 2, 5, 9]], np.float32), np.ones(1), np.ones(1, int), masks)
    turned = mirror(found, 20)
    assert turned.boxes.tolist() == [[15, 2, 19, 9]]
    np.testing.assert_array_equal(mirror(turned, 20).masks, masks)


def test_starts_cover_an_axis_in_multiples_of_the_stride():
    for length, side, overlap, stride in ((1000, 256, 0.5, 32), (100, 96, 0.9, 16), (97, 32, 0.0, 1), (5, 32, 0.5, 8)):
        starts = tiles.tile_starts(length, side, overlap, stride)
        assert starts[0] == 0
        assert all(start % stride == 0 for start in starts)
        assert all(0 < b - a <= side for a, b in itertools.pairwise(starts))
        assert length <= starts[-1] + side < length + side + stride


def test_memory_on_the_device_is_that_of_one_strip():
    trained = trained_model(Brightness(), classes=2)
    forward = compile_forward(trained, Options())

    def most_bytes(height):
        before = {id(array) for array in jax.live_arrays()}
        rows = tiles.predict_rows(trained, Options(tile=64, overlap=0.5), forward, photograph(height, 200))
        sizes = []
        for part in rows:
            assert len(part.label) <= 64
            sizes.append(sum(array.nbytes for array in jax.live_arrays() if id(array) not in before))
        return max(sizes), sum(1 for _ in sizes)

    (small, few), (large, many) = most_bytes(300), most_bytes(2000)
    assert many > 5 * few
    assert large <= small


def test_edges_follow_the_object_at_full_resolution():
    """The model sees 120x180 pixels of 1200x1800; the edge of its mask is within a pixel or two of the object's."""
    import cv2

    trained = trained_model(Brightness(), classes=2, data__image_size=(120, 180))
    truth = cv2.ellipse(np.zeros((1200, 1800), np.uint8), (880, 610), (700, 430), 25, 0, 360, 1, -1)
    mask = Predictor(trained).predict(np.repeat(truth[..., None] * 255, 3, axis=-1)).mask
    around = cv2.arcLength(cv2.findContours(truth, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0], True)
    small = cv2.resize(truth * 255, (180, 120), interpolation=cv2.INTER_LINEAR) > 127
    enlarged = cv2.resize(small.astype(np.uint8), (1800, 1200), interpolation=cv2.INTER_NEAREST)
    assert np.count_nonzero(mask != truth) < 1.5 * around
    assert np.count_nonzero(enlarged != truth) > 2 * around  # the small mask, enlarged, has steps of ten pixels


PEAK = """
import resource, sys
import jax, jax.numpy as jnp, numpy as np
from experiments import tiny_config
from jaxseg.inference import Predictor
from jaxseg.inference.engine import TrainedModel
from jaxseg.models.unet import UNet

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6

model, classes = UNet(classes=21, features=2, depth=1), 21
variables = model.init(jax.random.key(0), jnp.zeros((1, 64, 64, 3)), train=False)
ids = tuple(range(classes))
config = tiny_config(data__image_size=(256, 256))
palette = np.zeros((classes, 3), np.uint8)
predictor = Predictor(TrainedModel(config, model, variables, tuple(map(str, ids)), palette, ids))
predictor.predict(np.zeros((300, 300, 3), np.uint8), tile=int(sys.argv[1]), overlap=0.1)
image = np.random.default_rng(0).integers(0, 256, (3000, 3000, 3), np.uint8)
before = peak()
mask = predictor.predict(image, tile=int(sys.argv[1]), overlap=0.1).mask
assert mask.shape == (3000, 3000)
print(peak() - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("tile", [0, 256])
def test_the_peak_of_a_large_prediction_is_bounded(root, tile):
    """The logits of 3000x3000 pixels and 21 classes would take 0.76 GB; strips of them take less than half of that."""
    environment = os.environ | {"PYTHONPATH": f"{root}{os.pathsep}{root / 'tests'}", "XLA_FLAGS": ""}
    done = subprocess.run(
        [sys.executable, "-c", PEAK, str(tile)], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    assert float(done.stdout.split()[-1]) < 0.4
