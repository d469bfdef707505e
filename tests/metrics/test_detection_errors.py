"""TIDE's six kinds of errors, by hand, and on a golden value of its authors' program."""

import numpy as np
import pytest

from jaxseg.metrics.detection_errors import ERRORS, KINDS, error_costs, find_errors


def box(category, x, width=10, score=None, **more):
    """An object or, with a score, a detection: a box of height 10."""
    one = {"category_id": category, "bbox": [x, 0, width, 10], **more}
    return one if score is None else one | {"score": score}


def kinds(found, objects):
    errors = find_errors(found, objects, "bbox")
    return [KINDS[kind] if kind >= 0 else "right" for kind in errors.kinds], errors


def test_each_kind_is_recognized():
    objects = [box(1, 0), box(2, 100), box(1, 300)]
    found = [
        box(1, 1, score=0.9),  # IoU 9 / 11 with the first object
        box(1, 0, score=0.8),  # the first object once more
        box(1, 100, score=0.7),  # the second object by a wrong name
        box(2, 105, score=0.6),  # IoU 5 / 15 with the second object
        box(2, 5, score=0.5),  # IoU 5 / 15 with an object of another class
        box(1, 200, score=0.4),  # nothing there
    ]
    names, errors = kinds(found, objects)
    assert names == ["right", "duplicate", "classification", "localization", "both", "background"]
    # The better one of two detections repairs the second object.
    np.testing.assert_array_equal(errors.repaired, [-1, -1, 2, -1, -1, -1])
    np.testing.assert_array_equal(errors.missed, [1])
    np.testing.assert_array_equal(errors.objects, [1, 2, 1])


def test_what_a_kind_costs():
    # One class, two objects: one found, then a false detection, then a badly placed one.
    found = [box(1, 0, score=0.9), box(1, 200, score=0.8), box(1, 105, score=0.7)]
    costs = error_costs([find_errors(found, [box(1, 0), box(1, 100)], "bbox")])
    # Before: precision 1 up to recall 0.5, which are 51 of 101 recalls.
    # Localization repaired: precision 2 / 3 at the other 50 recalls. The badly placed one is all that is missing.
    assert costs["localization"] == pytest.approx(50 / 101 * 2 / 3)
    assert costs["background"] == 0
    assert costs["missed"] == 0
    assert set(costs) == set(ERRORS)


def test_a_missed_object_costs_its_recall():
    costs = error_costs([find_errors([box(1, 0, score=0.9)], [box(1, 0), box(1, 100)], "bbox")])
    assert costs["missed"] == pytest.approx(50 / 101)


def test_detections_in_a_crowd_do_not_count():
    crowd = box(1, 0, width=100, iscrowd=1)
    assert error_costs([find_errors([box(1, 20, score=0.9)], [crowd], "bbox")]) == {}
    errors = find_errors([box(1, 20, score=0.9), box(2, 20, score=0.8)], [crowd, box(1, 300)], "bbox")
    np.testing.assert_array_equal(errors.in_crowd, [True, False])


def test_images_without_detections_or_objects():
    nothing = find_errors([], [], "bbox")
    alone = find_errors([box(1, 0, score=0.9)], [], "bbox")
    missed = find_errors([], [box(1, 0)], "bbox")
    costs = error_costs([nothing, alone, missed])
    assert costs["missed"] == 0, "no object is left, and a false detection has precision 0"
    assert error_costs([nothing]) == {}


def test_a_golden_value_of_tidecv():
    """400 boxes of 20 images; expected are the numbers of ``TIDE().evaluate(..., mode=TIDE.BOX)`` of tidecv 1.0.1."""
    rng = np.random.default_rng(7)
    images = []
    for _ in range(20):
        corners = rng.uniform(0, 80, (6, 2))
        objects = [
            {"category_id": int(rng.integers(1, 4)), "bbox": [*map(float, corner), 30.0, 20.0]} for corner in corners
        ]
        found = []
        for _ in range(20):
            one = objects[rng.integers(6)]
            shift = rng.normal(0, 5, 4)
            category = one["category_id"] if rng.random() < 0.8 else int(rng.integers(1, 4))
            place = [float(side + step) for side, step in zip(one["bbox"], shift, strict=True)]
            found.append({"category_id": category, "bbox": place, "score": float(rng.random())})
        images.append((found, objects))
    costs = error_costs([find_errors(found, objects, "bbox") for found, objects in images])
    expected = {
        "classification": 0.04117,
        "localization": 0.352062,
        "both": 0.023879,
        "duplicate": 0.022574,
        "background": 0.000153,
        "missed": 0.010691,
    }
    for name, value in expected.items():
        assert costs[name] == pytest.approx(value, abs=2e-5), name
