import numpy as np
import pytest

from jaxseg.data.instances.grouping import GroupedOrder

GROUPS = (np.arange(0, 7), np.arange(7, 10), np.arange(10, 30))


def take(order, count):
    return [order.batch(step) for step in range(count)]


def test_a_batch_is_of_one_group_and_a_function_of_seed_and_step():
    order = GroupedOrder(GROUPS, 4, 0)
    batches = take(order, 40)
    for group, images in batches:
        assert set(images) <= set(GROUPS[group])
    for step in (39, 0, 17):
        group, images = GroupedOrder(GROUPS, 4, 0).batch(step)
        assert group == batches[step][0]
        np.testing.assert_array_equal(images, batches[step][1])
    others = take(GroupedOrder(GROUPS, 4, 1), 40)
    assert any((mine[1] != other[1]).any() for mine, other in zip(batches, others, strict=True))


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_all_images_are_seen_equally_often(batch_size):
    """After as many epochs as a batch has images, each image was seen so often, whatever its group."""
    seen = np.concatenate([images for _, images in take(GroupedOrder(GROUPS, batch_size, 0), 30)])
    np.testing.assert_array_equal(np.bincount(seen, minlength=30), batch_size)


def test_groups_take_turns():
    """None is put off and caught up with later: it is never off its share by more than an epoch has of it."""
    groups = [group for group, _ in take(GroupedOrder(GROUPS, 4, 0), 300)]
    sizes = np.array([len(group) for group in GROUPS])
    for step in range(1, 300):
        counts = np.bincount(groups[:step], minlength=3)
        assert (np.abs(counts - step * sizes / 30) <= sizes / 4 + 1).all()


def test_one_group_is_one_permutation_after_another():
    seen = np.concatenate([images for _, images in take(GroupedOrder((np.arange(10),), 6, 3), 5)]).reshape(3, 10)
    for turn in seen:
        np.testing.assert_array_equal(np.sort(turn), np.arange(10))
    assert len({tuple(turn) for turn in seen}) == 3
