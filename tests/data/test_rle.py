"""Run-length codes: known ones, round trips, nothing at all."""

import json

import numpy as np

from jaxseg.data import rle


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
