import chex
import numpy as np
import pytest
from torchvision_oracle import load_torchvision

from jaxseg.data.resize import (
    batch_images,
    bucket_of,
    buckets,
    resize_masks,
    resize_objects,
    resized_size,
    rounded_up,
)
from jaxseg.types import Objects


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize(
    ("size", "resized"),
    [
        ((480, 640), (800, 1066)),
        ((640, 480), (1066, 800)),
        ((100, 1000), (133, 1333)),
        ((800, 800), (800, 800)),
        ((2, 4000), (1, 1333)),
    ],
)
def test_the_short_side_or_else_the_long_one_decides(size, resized):
    assert resized_size(size, 800, 1333) == resized


def test_a_long_strip_keeps_a_pixel_of_its_short_side():
    assert resized_size((2, 4000), 800, 1333) == (1, 1333)


def test_sizes_are_rounded_down_in_double_precision():
    """In single precision 500 * (800 / 500) could become 799."""
    assert all(resized_size((n, n), 800, 1333) == (800, 800) for n in (500, 427, 375, 333, 612))


def test_a_batch_is_padded_at_the_bottom_and_the_right(rng):
    images = [rng.integers(1, 256, (50, 80, 3), np.uint8), rng.integers(1, 256, (90, 60, 3), np.uint8)]
    batch = batch_images(images, 64, 120)
    np.testing.assert_array_equal(batch.sizes, [[64, 102], [96, 64]])
    np.testing.assert_array_equal(batch.extents, [[64, 128], [96, 64]])
    np.testing.assert_array_equal(batch.original_sizes, [[50, 80], [90, 60]])
    chex.assert_shape(batch.image, (2, 96, 128, 3))
    assert (batch.image[0, 64:] == 0).all()
    assert (batch.image[0, :, 102:] == 0).all()
    assert (batch.image[1, :, 64:] == 0).all()
    assert np.abs(batch.image[0, 63, 101]).min() > 0


def test_masks_take_the_pixel_above_and_to_the_left():
    mask = np.arange(5)[None, None].astype(np.uint8)
    np.testing.assert_array_equal(resize_masks(mask, (1, 3))[0, 0], [0, 1, 3])
    np.testing.assert_array_equal(resize_masks(mask, (1, 10))[0, 0], [0, 0, 1, 1, 2, 2, 3, 3, 4, 4])


def test_boxes_scale_with_the_true_ratio_of_each_axis():
    objects = Objects(np.array([[1, 2, 3, 4]], np.float32), np.ones(1, int), np.zeros((1, 10, 20)), np.zeros(1, bool))
    resized = resize_objects(objects, (10, 20), (25, 30))
    np.testing.assert_allclose(resized.boxes, [[1.5, 5, 4.5, 10]])
    assert resized.masks.shape == (1, 25, 30)


@pytest.mark.parametrize("lengths", [1, 2, 3])
@pytest.mark.parametrize(("min_size", "max_size"), [(800, 1333), (192, 256), (600, 600)])
def test_every_image_fits_one_of_few_buckets(rng, lengths, min_size, max_size):
    choices = buckets(min_size, max_size, lengths)
    assert len(choices) <= 2 * lengths
    assert all(side % 32 == 0 for choice in choices for side in choice)
    for size in rng.integers(20, 3000, (200, 2)):
        resized = rounded_up(resized_size(tuple(size), min_size, max_size))
        bucket = bucket_of(resized, choices)
        assert bucket[0] >= resized[0]
        assert bucket[1] >= resized[1]


def test_an_image_that_fits_no_bucket_is_an_error():
    with pytest.raises(ValueError, match="300x100 fits none"):
        bucket_of((300, 100), buckets(64, 128))


@pytest.mark.parametrize("size", [(120, 161), (97, 60), (33, 250)])
def test_images_boxes_and_masks_are_torchvisions(rng, size):
    torchvision = load_torchvision()
    torch = torchvision.torch
    transform = torchvision.models.detection.transform.GeneralizedRCNNTransform(
        64, 128, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    )
    image = rng.integers(0, 256, (*size, 3), np.uint8)
    masks = rng.integers(0, 2, (3, *size), np.uint8)
    boxes = rng.uniform(0, 30, (3, 4)).astype(np.float32)
    images, targets = transform(
        [torch.from_numpy(image).permute(2, 0, 1).float() / 255],
        [{"boxes": torch.from_numpy(boxes), "labels": torch.ones(3), "masks": torch.from_numpy(masks)}],
    )
    batch = batch_images([image], 64, 128)
    objects = Objects(boxes, np.ones(3, int), masks, np.zeros(3, bool))
    objects = resize_objects(objects, size, tuple(batch.sizes[0]))
    assert images.image_sizes == [tuple(batch.sizes[0])]
    np.testing.assert_allclose(batch.image[0], images.tensors[0].permute(1, 2, 0).numpy(), atol=2e-4)
    np.testing.assert_allclose(objects.boxes, targets[0]["boxes"].numpy(), rtol=1e-6)
    np.testing.assert_array_equal(objects.masks, targets[0]["masks"].numpy())
