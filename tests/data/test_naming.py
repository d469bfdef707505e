"""Errors while images are augmented or scored name the file."""

import numpy as np
import pytest
from drawn_objects import drawn_source
from experiments import tiny_config, tiny_detector

from jaxseg.data.instances import batches as instance_batches
from jaxseg.data.naming import named_errors
from jaxseg.data.semantic import batches as semantic_batches
from jaxseg.metrics import coco_evaluation
from jaxseg.metrics.detections import to_coco_results
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.types import Record, Source

FILES = ("photos/a.jpg", "photos/b.jpg")


class Broken:
    """Augmentations that fail as OpenCV does, in the middle of a batch."""

    def augment(self, rng, example):
        raise RuntimeError("OpenCV(5.0) error: (-215:Assertion failed) !empty()")

    augment_instances = augment


def semantic_source():
    image = np.zeros((8, 8, 3), np.uint8)
    return Source([Record(name, image, image[..., 0]) for name in "ab"], ("x", "y"), np.zeros((2, 3)), files=FILES)


def test_an_augmentation_that_fails_names_the_file(monkeypatch):
    make = semantic_batches.TrainBatch(semantic_source().records, Broken(), None, 0, 2, slice(0, 2), FILES)
    with pytest.raises(ValueError, match=r"^photos/b\.jpg cannot be used: RuntimeError: OpenCV\(5\.0\) error"):
        make(0, np.array([1, 0]))


@pytest.mark.parametrize("workers", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_an_object_that_fails_names_the_file(workers):
    """A mask with another size than its image ends in an error of numpy somewhere in a worker."""
    source = drawn_source([(48, 64), (48, 64)], [2, 2])._replace(files=FILES)
    record = source.records[1]
    broken = record._replace(objects=record.objects._replace(masks=record.objects.masks[:0]))
    source = source._replace(records=[broken, broken])
    data = tiny_detector(data__workers=workers).data
    with (
        instance_batches.train_batches(source, data, batch_size=1, seed=0, start_step=0) as batches,
        pytest.raises(ValueError, match=r"photos/[ab]\.jpg cannot be used: operands could not be"),
    ):
        next(batches)


def test_an_image_that_cannot_be_scored_names_the_file(monkeypatch):
    source = drawn_source([(48, 64), (48, 64)], [2, 2])._replace(files=FILES)
    monkeypatch.setattr(coco_evaluation, "_split", source, raising=False)
    found = Instances(np.zeros((1, 4)), np.ones(1), np.full(1, 99), np.ones(1, bool), np.ones((1, 28, 28)))
    with pytest.raises(IndexError):
        to_coco_results(found, (48, 64), source.catalogue.category_ids)
    with pytest.raises(ValueError, match=r"^photos/b\.jpg cannot be used: IndexError: range object index out of"):
        coco_evaluation._matches_of(found, 1, (48, 64))


def test_what_names_the_file_already_is_left_as_it_is():
    error = ValueError("photos/a.jpg is damaged")
    with pytest.raises(ValueError, match="damaged") as raised, named_errors(FILES, 0):
        raise error
    assert raised.value is error
    with pytest.raises(ValueError, match=r"^image 7 cannot be used: text$"), named_errors((), 7):
        raise ValueError("text")
    with pytest.raises(MemoryError), named_errors(FILES, 0):
        raise MemoryError


def test_evaluation_batches_name_the_file():
    class Damaged(list):
        def __getitem__(self, index):
            raise IndexError("list index out of range")

    data = tiny_config().data
    with (
        semantic_batches.eval_batches(semantic_source()._replace(records=Damaged("ab")), data, batch_size=2) as batches,
        pytest.raises(ValueError, match=r"photos/a\.jpg cannot be used: IndexError"),
    ):
        next(batches)
