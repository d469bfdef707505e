import pickle
import shutil

import chex
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.cache import CachedExamples
from jaxseg.data.semantic.batches import eval_batches, train_batches
from jaxseg.data.sources import open_source
from jaxseg.types import Example

SIZE = (6, 5)


class Counted(list):
    """Random examples that remember how often they were asked for."""

    def __init__(self, count):
        rng = np.random.default_rng(0)
        pairs = [(rng.integers(0, 256, (*SIZE, 3), np.uint8), rng.integers(0, 3, SIZE, np.uint8)) for _ in range(count)]
        super().__init__(Example(*pair) for pair in pairs)
        self.asked = 0

    def __getitem__(self, index):
        self.asked += 1
        return super().__getitem__(index)


def test_cached_examples_are_the_examples_and_are_made_once(tmp_path):
    examples = Counted(7)
    cached = CachedExamples(examples, SIZE, "some", tmp_path)
    assert len(cached) == 7
    for _ in range(3):
        chex.assert_trees_all_equal([cached[i] for i in range(7)], list(examples))
    assert examples.asked == 7


def test_another_process_and_another_run_find_them(tmp_path):
    cached = CachedExamples(Counted(4), SIZE, "some", tmp_path)
    first = cached[2]
    chex.assert_trees_all_equal(pickle.loads(pickle.dumps(cached))[2], first)
    later = Counted(4)
    chex.assert_trees_all_equal(CachedExamples(later, SIZE, "some", tmp_path)[2], first)
    assert later.asked == 0


def test_a_pickle_does_not_carry_the_contents(tmp_path):
    cached = CachedExamples(list(Counted(1)) * 2000, SIZE, "some", tmp_path)
    before = len(pickle.dumps(cached))
    for index in range(2000):
        cached[index]
    assert len(pickle.dumps(cached)) == before


@pytest.mark.parametrize("change", [{"fingerprint": "other"}, {"sizes": (5, 6)}])
def test_other_examples_have_another_file(tmp_path, change):
    arguments = {"sizes": SIZE, "fingerprint": "some"}
    CachedExamples(Counted(4), **arguments, directory=tmp_path)
    CachedExamples(Counted(4), **(arguments | change), directory=tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_torn_slot_is_made_anew(tmp_path):
    examples = Counted(3)
    CachedExamples(examples, SIZE, "some", tmp_path)[1]
    (file,) = tmp_path.iterdir()
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    again = CachedExamples(examples, SIZE, "some", tmp_path)
    chex.assert_trees_all_equal(again[1], list(examples)[1])
    assert examples.asked == 2
    again[1]
    assert examples.asked == 2


def test_a_full_disk_is_noticed_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(100, 90, 10))
    with pytest.raises(ValueError, match=r"needs 0 MB.*config\.data\.cache=False"):
        CachedExamples(Counted(3), SIZE, "some", tmp_path)


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=r"cannot keep decoded examples.*config\.data\.dir"):
        CachedExamples(Counted(3), SIZE, "some", tmp_path / "file")


def test_batches_are_the_same_with_and_without(tmp_path):
    data = get_config().data
    data.dir = str(tmp_path)
    data.image_size = (24, 20)
    data.augment.crop_scale = (0.7, 1.1)
    data.augment.flip = True
    data.augment.contrast = 0.2
    source = open_source(data, "val")
    source = source._replace(records=[source.records[index] for index in range(12)])
    seen = []
    # Without a cache; with one that two processes fill; with one that is full.
    for data.cache, data.workers in ((False, 0), (True, 2), (True, 0)):
        with train_batches(source, data, batch_size=6, seed=0, start_step=0) as stream:
            trained = [next(stream) for _ in range(8)]
        seen.append((trained, list(eval_batches(source, data, batch_size=5))))
    assert len(list((tmp_path / "cache").iterdir())) == 2  # one size for crops, one for evaluation
    chex.assert_trees_all_equal(seen[1], seen[0])
    chex.assert_trees_all_equal(seen[2], seen[0])
