import chex
import jax
import numpy as np
import pytest
from drawn_objects import drawn_source

from configs.base import get_config
from jaxseg.data.geometry import boxes_of_masks
from jaxseg.data.instances.batches import eval_batches, train_batches
from jaxseg.data.instances.catalogue import padded_sizes
from jaxseg.data.sources import open_source
from jaxseg.types import InstanceBatch

SIZES = [(40, 60), (60, 40), (50, 50), (30, 90), (90, 30), (45, 60), (40, 60), (60, 45), (41, 60), (40, 62), (80, 50)]
COUNTS = [2, 1, 3, 1, 2, 0, 4, 2, 2, 3, 1]


@pytest.fixture(scope="module")
def source():
    return drawn_source(SIZES, COUNTS)


@pytest.fixture
def data():
    config = get_config().data
    config.update(workers=0, min_size=48, max_size=128, crop_size=(64, 64), max_objects=4)
    return config


@pytest.fixture
def augmented(data):
    data.augment.update(flip=True, min_sizes=(32, 48), brightness=0.2, copy_paste=0.5)
    return data


def train(source, data, count, *, start_step=0, **others):
    arguments = {"batch_size": 4, "seed": 3} | others
    with train_batches(source, data, start_step=start_step, **arguments) as stream:
        return [next(stream) for _ in range(count)]


def join(parts):
    return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)


def test_a_batch_has_its_shapes(source, augmented):
    for batch in train(source, augmented, 4):
        assert isinstance(batch, InstanceBatch)
        height, width = batch.image.shape[1:3]
        shapes = [(4, height, width, 3), (4, 2), (4, 4, 4), (4, 4), (4, 4, height, width // 8), (4, 4), (4, 2), (4,)]
        chex.assert_shape(batch, [*shapes, (4,)])
        types = [np.uint8, np.int32, np.float32, np.int32, np.uint8, bool, np.int32, np.int32, bool]
        chex.assert_type(list(batch), types)
        assert batch.valid.all()
        assert (batch.usable <= (batch.classes > 0)).all()
        np.testing.assert_array_equal(batch.original_sizes, [SIZES[index] for index in batch.index])


def test_a_batch_is_a_function_of_its_step(source, augmented):
    whole = train(source, augmented, 6)
    for start in (1, 4):
        chex.assert_trees_all_equal(train(source, augmented, 6 - start, start_step=start), whole[start:])
    other = train(source, augmented, 6, seed=4)
    assert any((mine.index != theirs.index).any() for mine, theirs in zip(whole, other, strict=True))


@pytest.mark.parametrize("process_count", [2, 4])
def test_shares_of_processes_make_up_the_batch_of_one(source, augmented, process_count):
    shares = [
        train(source, augmented, 5, process_index=index, process_count=process_count) for index in range(process_count)
    ]
    chex.assert_trees_all_equal([join(parts) for parts in zip(*shares, strict=True)], train(source, augmented, 5))


def test_worker_processes_change_nothing(source, augmented):
    alone = train(source, augmented, 3, start_step=2)
    augmented.workers = 1
    chex.assert_trees_all_equal(train(source, augmented, 3, start_step=2), alone)


def test_augmentation_is_new_each_time(source, data):
    data.augment.flip = True
    batches = train(source, data, 80, batch_size=1)
    same = [batch.image for batch in batches if batch.index[0] == 0]
    assert len({image.tobytes() for image in same}) == 2  # as it is, and mirrored


def test_colours_change_and_nothing_else(source, data):
    plain = train(source, data, 3)
    data.augment.brightness = 0.5
    for batch, changed in zip(plain, train(source, data, 3), strict=True):
        assert (changed.image != batch.image).any(axis=(1, 2, 3)).all()
        chex.assert_trees_all_equal(changed._replace(image=batch.image), batch)


def test_boxes_are_those_of_their_masks_whatever_happens_to_images(source, augmented):
    """Resized, mirrored, jittered and pasted onto others: within two pixels, for a smaller mask loses thin tips."""
    augmented.augment.copy_paste = 1.0
    seen = 0
    for scale_jitter in ((1.0, 1.0), (0.5, 2.0)):
        augmented.augment.scale_jitter = scale_jitter
        for batch in train(source, augmented, 15):
            tight = boxes_of_masks(np.unpackbits(batch.masks[batch.classes > 0], axis=-1))
            assert np.abs(tight - batch.boxes[batch.classes > 0]).max() <= 2 + 1e-4
            seen += len(tight)
    assert seen > 200


def test_shapes_are_bounded_by_the_padded_sizes(source, augmented):
    allowed = padded_sizes(augmented, training=True)
    assert len(allowed) == 4
    shapes = {batch.image.shape[1:3] for batch in train(source, augmented, 40)}
    with eval_batches(source, augmented, batch_size=2) as stream:
        shapes |= {batch.image.shape[1:3] for batch in stream}
    assert len(shapes) >= 2
    assert shapes <= set(allowed)
    assert padded_sizes(augmented, training=False) == allowed


def test_jittered_batches_have_one_shape(source, augmented):
    augmented.augment.scale_jitter = (0.1, 2.0)
    assert padded_sizes(augmented, training=True) == ((64, 64),)
    batches = train(source, augmented, 6)
    assert {batch.image.shape[1:3] for batch in batches} == {(64, 64)}
    assert len({tuple(size) for batch in batches for size in batch.sizes}) > 6
    augmented.crop_size = (64, 60)
    with pytest.raises(ValueError, match=r"crop_size is \(64, 60\); expected multiples of 32"):
        padded_sizes(augmented, training=True)


def test_images_without_objects_are_learnt_from_if_the_config_says_so(source, data):
    seen = {index for batch in train(source, data, 30) for index in batch.index}
    assert seen == set(range(len(SIZES))) - {5}
    data.empty_images = True
    seen = {index for batch in train(source, data, 30) for index in batch.index}
    assert seen == set(range(len(SIZES)))


@pytest.mark.parametrize("process_count", [1, 2])
def test_evaluation_sees_each_image_once(source, data, process_count):
    parts = [
        list(eval_batches(source, data, batch_size=4, process_index=index, process_count=process_count))
        for index in range(process_count)
    ]
    for batches in zip(*parts, strict=True):
        assert len({batch.image.shape for batch in batches}) == 1
        assert batches[0].image.shape[0] == 4 // process_count
    seen = np.concatenate([batch.index[batch.valid] for part in parts for batch in part])
    np.testing.assert_array_equal(np.sort(seen), np.arange(len(SIZES)))
    assert all((batch.index[~batch.valid] == -1).all() for part in parts for batch in part)


def test_evaluation_leaves_images_alone(source, augmented):
    augmented.augment.scale_jitter = (0.1, 2.0)
    first, second = (list(eval_batches(source, augmented, batch_size=4)) for _ in range(2))
    chex.assert_trees_all_equal(first, second)
    for batch in first:
        for row in np.flatnonzero(batch.valid):
            assert min(batch.sizes[row]) == 48 or max(batch.sizes[row]) == 128
            # The first pixel, enlarged, keeps the color that says which image it is.
            if min(SIZES[batch.index[row]]) < 48:
                assert batch.image[row, 0, 0, 0] == batch.index[row]


def test_more_objects_than_there_is_room_for_are_said_once(source, data):
    data.max_objects = 2
    message = r"1 image\(s\) have more than config\.data\.max_objects=2 objects, one of them 3"
    with pytest.warns(UserWarning, match=message) as said:
        batches = train(source, data, 8)
    assert len(said) == 1
    assert max(batch.usable.sum(axis=1).max() for batch in batches) == 2


def test_a_data_set_without_objects(source, data):
    with pytest.raises(ValueError, match="config.data.name is 'shapes', which has label maps but no objects"):
        train(source._replace(catalogue=None), data, 1)
    with pytest.raises(ValueError, match="no image with an object to learn from"):
        train(drawn_source([(40, 40)], [0]), data, 1)
    with pytest.raises(ValueError, match="expected a positive multiple of the 3 processes"):
        train(source, data, 1, process_count=3)


def test_evaluation_of_no_images(data):
    empty = drawn_source([(40, 40)], [0])
    catalogue = empty.catalogue._replace(sizes=np.zeros((0, 2), np.int32), counts=np.zeros(0, np.int32), image_ids=())
    assert list(eval_batches(empty._replace(records=[], catalogue=catalogue), data, batch_size=4)) == []


def test_real_images_of_coco(data, shared_data):
    data.update(name="coco", source_dir=str(shared_data / "coco_tiny"), min_size=128, max_size=224, max_objects=50)
    source = open_source(data, "val")
    seen = np.zeros(80, int)
    with eval_batches(source, data, batch_size=8) as stream:
        for batch in stream:
            assert batch.image.shape[1:3] in padded_sizes(data, training=False)
            index = batch.index[batch.valid]
            np.add.at(seen, index, 1)
            np.testing.assert_array_equal(batch.original_sizes[batch.valid], source.catalogue.sizes[index])
    np.testing.assert_array_equal(seen, 1)
    data.augment.update(scale_jitter=(0.1, 2.0), flip=True, copy_paste=0.5)
    for batch in train(source, data, 4):
        objects = batch.classes > 0
        assert (batch.boxes[objects][:, :2] < batch.boxes[objects][:, 2:]).all()
        assert (batch.boxes[:, :, 2:] <= batch.sizes[:, None, ::-1]).all()
        np.testing.assert_array_equal(batch.masks.any(axis=(2, 3)), objects)
