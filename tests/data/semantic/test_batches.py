import chex
import jax
import numpy as np
import pytest

from configs.base import get_config
from jaxseg.data.semantic.batches import eval_batches, train_batches
from jaxseg.data.semantic.border import Border, border_weights
from jaxseg.data.sources import open_source
from jaxseg.types import IGNORE, Record, Source

PALETTE = np.zeros((2, 3), np.uint8)


class Numbered(list):
    """Records whose image says which one it is."""

    def __init__(self, count):
        label = np.zeros((4, 4), np.uint8)
        super().__init__(Record(str(i), np.full((4, 4, 3), i, np.uint8), label) for i in range(count))


def numbered(count):
    return Source(Numbered(count), ("a", "b"), PALETTE)


@pytest.fixture
def data():
    config = get_config().data
    config.workers = 0
    config.cache = False
    config.image_size = (4, 4)
    return config


@pytest.fixture
def augmented(data):
    data.image_size = (32, 32)
    data.augment.crop_scale = (0.5, 1.2)
    data.augment.flip = True
    data.augment.brightness = 0.3
    data.augment.elastic = 1.0
    data.border_weight = 10.0
    return data


def take(stream, count):
    with stream:
        return [next(stream) for _ in range(count)]


def order(batches):
    return np.concatenate([batch.image[:, 0, 0, 0] for batch in batches])


def join(batches):
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *batches)


def train(source, data, count, *, start_step=0, **others):
    arguments = {"batch_size": 6, "seed": 3} | others
    return take(train_batches(source, data, start_step=start_step, **arguments), count)


@pytest.mark.parametrize("count", [1, 3])
def test_batches_may_have_one_example(data, count):
    """An endless order of single examples once ended in an OverflowError."""
    single = order(train(numbered(count), data, 9, batch_size=1))
    assert all(set(single[start : start + count]) == set(range(count)) for start in range(0, 9, count))
    np.testing.assert_array_equal(single[5:], order(train(numbered(count), data, 4, start_step=5, batch_size=1)))


def test_a_batch_has_its_shapes(augmented):
    augmented.border_weight = 0.0
    (batch,) = train(open_source(augmented, "train"), augmented, 1)
    chex.assert_shape([batch.image, batch.label, batch.valid], [(6, 32, 32, 3), (6, 32, 32), (6,)])
    assert [array.dtype for array in batch[:3]] == [np.uint8, np.uint8, bool]
    assert batch.weight is None
    assert batch.valid.all()


def test_training_may_see_crops_smaller_than_the_images_that_are_scored(augmented):
    augmented.crop_size = (24, 16)
    source = open_source(augmented, "train")
    (batch,) = train(source, augmented, 1)
    chex.assert_shape([batch.image, batch.label], [(6, 24, 16, 3), (6, 24, 16)])
    with eval_batches(source, augmented, batch_size=2) as batches:
        chex.assert_shape(next(batches).image, (2, 32, 32, 3))
    augmented.crop_size = (24, 0)
    with pytest.raises(ValueError, match=r"config\.data\.crop_size is \(24, 0\)"):
        train(source, augmented, 1)


def test_borders_weigh_more_where_the_config_says_so_and_in_training_alone(augmented):
    source = open_source(augmented, "train")
    (batch,) = train(source, augmented, 1)
    for label, weight in zip(batch.label, batch.weight, strict=True):
        np.testing.assert_array_equal(weight, border_weights(label, Border(10.0, augmented.border_width)))
    assert (batch.weight > 2).any()
    with eval_batches(source, augmented, batch_size=2) as stream:
        assert next(stream).weight is None


def test_each_epoch_is_another_permutation(data):
    # 10 records in batches of 6: 5 batches are 3 epochs, and 2 of them straddle.
    epochs = order(train(numbered(10), data, 5)).reshape(3, 10)
    for epoch in epochs:
        np.testing.assert_array_equal(np.sort(epoch), np.arange(10))
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_the_seed_decides(data):
    source = numbered(50)
    orders = [order(train(source, data, 2, seed=seed)) for seed in (0, 0, 1)]
    np.testing.assert_array_equal(orders[0], orders[1])
    assert (orders[0] != orders[2]).any()


def test_a_batch_is_a_function_of_its_step(augmented):
    source = open_source(augmented, "train")
    whole = train(source, augmented, 5)
    for start in (1, 4):
        chex.assert_trees_all_equal(train(source, augmented, 5 - start, start_step=start), whole[start:])


def test_augmentation_is_new_each_epoch(augmented):
    source = numbered(6)
    augmented.augment.crop_scale = (1.0, 1.0)
    epochs = [np.sort(batch.image[:, 0, 0, 0]) for batch in train(source, augmented, 2)]
    assert (epochs[0] != epochs[1]).any()


@pytest.mark.parametrize("process_count", [2, 3])
def test_shares_of_processes_make_up_the_batch_of_one(augmented, process_count):
    source = open_source(augmented, "train")
    whole = train(source, augmented, 3)
    shares = [
        train(source, augmented, 3, process_index=index, process_count=process_count) for index in range(process_count)
    ]
    joined = [join(parts) for parts in zip(*shares, strict=True)]
    chex.assert_trees_all_equal(joined, whole)


def test_evaluation_sees_each_image_once_and_pads_the_last_batch(data):
    batches = list(eval_batches(numbered(10), data, batch_size=4))
    assert len(batches) == 3
    np.testing.assert_array_equal(order(batches)[:10], np.arange(10))
    np.testing.assert_array_equal(batches[-1].valid, [True, True, False, False])
    assert (batches[-1].label[2:] == IGNORE).all()
    assert all(batch.image.shape == (4, 4, 4, 3) for batch in batches)


def test_evaluation_over_processes(data):
    parts = [list(eval_batches(numbered(9), data, batch_size=6, process_index=i, process_count=3)) for i in range(3)]
    assert [len(part) for part in parts] == [2, 2, 2]
    seen = np.concatenate([batch.image[batch.valid, 0, 0, 0] for part in parts for batch in part])
    np.testing.assert_array_equal(np.sort(seen), np.arange(9))
    assert all(batch.image.shape[0] == 2 for part in parts for batch in part)


def test_evaluation_leaves_images_alone(augmented):
    source = open_source(augmented, "val")
    with eval_batches(source, augmented, batch_size=3) as stream:
        batch = next(stream)
    label = source.records[1].label
    np.testing.assert_array_equal(batch.label[1], label[2::5][:, 2::5])


def test_evaluation_of_no_images(data):
    assert list(eval_batches(numbered(0), data, batch_size=4)) == []


def test_worker_processes_change_nothing(augmented):
    source = open_source(augmented, "train")
    alone = train(source, augmented, 5, start_step=2)
    augmented.workers = 2
    chex.assert_trees_all_equal(train(source, augmented, 5, start_step=2), alone)


def test_a_batch_must_divide_among_processes(data):
    with pytest.raises(ValueError, match=r"config\.train\.batch_size is 6; expected a positive multiple of the 4"):
        train(numbered(10), data, 1, process_count=4)


def test_an_empty_split(data):
    with pytest.raises(ValueError, match="is empty"):
        train(numbered(0), data, 1)
