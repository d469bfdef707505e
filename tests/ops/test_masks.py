"""Masks: targets cut out and predictions pasted, by hand, as torchvision does, and back and forth."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from torchvision_oracle import load_torchvision

from jaxseg.ops.masks import crop_targets, paste_masks

HEIGHT, WIDTH = 60, 80
cropped = jax.jit(crop_targets, static_argnames="size")
pasted = jax.jit(paste_masks, static_argnames="image_size")


@pytest.fixture(scope="module")
def boxes():
    """Boxes in the image, the last ones without area, of a pixel, and the whole image."""
    random = np.random.default_rng(0)
    corners, sides = random.uniform(-10, 70, (20, 2)), np.exp(random.uniform(-2, 4.5, (20, 2)))
    boxes = np.clip(np.concatenate([corners, corners + sides], axis=1), 0, [WIDTH, HEIGHT] * 2)
    special = [[5, 5, 5, 5], [7, 9, 8, 10], [0, 0, WIDTH, HEIGHT], [WIDTH - 0.5, 3, WIDTH, 30]]
    return np.concatenate([boxes, special]).astype(np.float32)


def gt_masks():
    masks = (np.random.default_rng(1).random((4, HEIGHT, WIDTH)) > 0.5).astype(np.uint8)
    masks[1:] = 0
    masks[1, 10:40, 20:60] = 1
    masks[2, 9, 7] = 1  # a single pixel
    return masks


def test_a_target_is_the_framed_part():
    # Twice as large as a rectangle and around it: the target is 1 in the middle half.
    target = cropped(gt_masks(), np.array([[0, -5, 80, 55]], np.float32), np.array([1]), size=28)[0]
    assert target[8:20, 8:20].min() == 1
    assert target[:6].max() == target[22:].max() == target[:, :6].max() == target[:, 22:].max() == 0


def test_targets_are_fractions():
    target = cropped(gt_masks(), np.array([[7, 9, 9, 11]], np.float32), np.array([2]), size=28)[0]
    assert 0 < target.max() <= 1
    assert ((target > 0) & (target < 1)).any()


def test_targets_are_torchvisions(boxes):
    torchvision = load_torchvision()
    torch = torchvision.torch
    objects = np.arange(len(boxes)) % 4
    expected = torchvision.models.detection.roi_heads.project_masks_on_boxes(
        *(torch.from_numpy(x) for x in (gt_masks(), boxes, objects)), 28
    ).numpy()
    targets = cropped(gt_masks(), boxes, objects, size=28)
    chex.assert_trees_all_close(np.asarray(targets), expected, atol=1e-5, rtol=0)


def test_padding_beyond_the_image_changes_no_target(boxes):
    masks, objects = gt_masks(), np.arange(len(boxes)) % 4
    padded = np.pad(masks, ((0, 0), (0, 4), (0, 16)))
    targets = cropped(padded, boxes, objects, size=28, extent=jnp.array([HEIGHT, WIDTH]))
    chex.assert_trees_all_close(targets, cropped(masks, boxes, objects, size=28), atol=1e-6)
    assert abs(targets - cropped(padded, boxes, objects, size=28)).max() > 0.1


def test_pasting_by_hand():
    # Ones in a box of 28x28 pixels: the grown box ends half way to the pad of zeros, so its rim is a half and more.
    image = pasted(jnp.ones((1, 28, 28)), jnp.array([[10.0, 20, 38, 48]]), image_size=(HEIGHT, WIDTH))[0]
    assert image[20:48, 10:38].min() > 0.5
    assert image[:19].max() == image[50:].max() == image[:, :9].max() == image[:, 40:].max() == 0


def test_pasting_is_torchvisions(boxes):
    torchvision = load_torchvision()
    torch = torchvision.torch
    probabilities = np.random.default_rng(2).random((len(boxes), 28, 28)).astype(np.float32)
    expected = torchvision.models.detection.roi_heads.paste_masks_in_image(
        torch.from_numpy(probabilities)[:, None], torch.from_numpy(boxes), (HEIGHT, WIDTH)
    )[:, 0].numpy()
    images = np.asarray(pasted(probabilities, boxes, image_size=(HEIGHT, WIDTH)))
    chex.assert_trees_all_close(images, expected, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(images != 0, expected != 0)


def test_pasting_undoes_cutting():
    random = np.random.default_rng(3)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    centers = random.uniform(25, 35, (6, 2))
    blobs = np.stack([(y - a) ** 2 / 300 + (x - b) ** 2 / 500 < 1 for a, b in centers]).astype(np.uint8)
    frames = np.stack([[b - 24, a - 19, b + 24, a + 19] for a, b in centers]).astype(np.float32)
    back = pasted(cropped(blobs, frames, np.arange(6), size=28), frames, image_size=(HEIGHT, WIDTH)) > 0.5
    overlap = (back & (blobs > 0)).sum(axis=(1, 2)) / (back | (blobs > 0)).sum(axis=(1, 2))
    assert overlap.min() > 0.93  # a pixel more or less along an outline


def test_boxes_outside_the_image_paste_nothing():
    outside = jnp.array([[100.0, 5, 120, 30], [-50, -50, -20, -20]])
    image = pasted(jnp.ones((2, 28, 28)), outside, image_size=(HEIGHT, WIDTH))
    assert not image.any()


@pytest.mark.parametrize("packed", [False, True])
def test_both_forms_cut_the_same_targets(boxes, packed):
    """In a loop on a CPU, in products elsewhere."""
    masks, objects = gt_masks(), np.arange(len(boxes)) % 4
    width = WIDTH if packed else None
    masks = np.packbits(masks, axis=-1) if packed else masks
    crop = jax.jit(partial(crop_targets, size=28, packed_width=width), static_argnames="cpu_kernels")
    loop, products = (crop(masks, boxes, objects, cpu_kernels=form) for form in (True, False))
    chex.assert_trees_all_close(products, loop, atol=1e-6, rtol=0)
