"""Run-length codes: known ones, round trips, nothing at all."""

import json

import numpy as np
import pytest

from jaxseg.data.coco import rle


def test_round_trip_through_json():
    masks = np.random.default_rng(0).random((5, 13, 17)) > 0.6
    codes = json.loads(json.dumps(rle.encode(masks)))
    assert codes[0]["size"] == [13, 17]
    np.testing.assert_array_equal(rle.decode(codes, (13, 17)), masks)


def test_runs_go_down_columns():
    mask = np.zeros((1, 3, 2), np.uint8)
    mask[0, 1:, 0] = 1  # one 0, two 1s, three 0s
    assert rle.encode(mask)[0]["counts"] == "123"


def test_no_masks():
    assert rle.encode(np.zeros((0, 4, 5))) == []
    assert rle.decode([], (4, 5)).shape == (0, 4, 5)


def test_run_lengths_of_both_forms():
    masks = np.random.default_rng(1).random((20, 31, 200)) > np.linspace(0, 1, 20)[:, None, None]
    masks[5, :, 10:190] = 1  # a run of more than one digit
    for mask, code in zip(masks, rle.encode(masks), strict=True):
        columns = np.concatenate([[0], mask.T.ravel().astype(int)])
        ends = np.flatnonzero(np.diff(columns))
        expected = np.diff(np.concatenate([[0], ends, [mask.size]]))
        lengths = rle.run_lengths(code["counts"])
        np.testing.assert_array_equal(lengths, expected)
        np.testing.assert_array_equal(rle.run_lengths(expected.tolist()), expected)
        plain = rle.encode_segmentation({"size": [31, 200], "counts": expected.tolist()}, (31, 200))
        np.testing.assert_array_equal(rle.decode([plain], (31, 200))[0], mask)


@pytest.mark.parametrize("share", [0.0, 0.2, 0.7, 1.0])
def test_a_part_of_a_mask_is_encoded_as_the_whole(share):
    """Parts of all sizes at all places, also empty ones, and runs that go on at the head of the next column."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        height, width = rng.integers(1, 9, 2)
        top, left = rng.integers(0, height + 1), rng.integers(0, width + 1)
        part = rng.uniform(size=(rng.integers(0, height - top + 1), rng.integers(0, width - left + 1))) < share
        whole = np.zeros((height, width), bool)
        whole[top : top + part.shape[0], left : left + part.shape[1]] = part
        code = rle.encode_within(part, (int(top), int(left)), (int(height), int(width)))
        assert code == rle.encode(whole[None])[0]
