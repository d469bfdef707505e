"""Other models than the U-Net of test_steps.py: on any mesh they take the steps of one device.

The U-Net and the FCN on VGG are compared on every mesh. The models on ResNets are compared on two: one divides only
the batch, over which their norms average, and one divides everything.
The semantic models compute in float64 wherever they can: through live norms the order of a sum in float32 changes
small gradients by more than 1e-5, whatever the mesh.
"""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import float64, in_precision, tiny_config, tiny_detector, tiny_experiment

from jaxseg.models.mask_rcnn import rpn
from jaxseg.parallel import mesh as sharding

pytestmark = pytest.mark.slow

SEMANTIC = {
    "fcn_vgg": {"width": 2, "hidden": 8},
    "unet_resnet": {"depth": 18, "width": 8},
    "fcn_resnet": {"width": 4},
}
ONE = (1, 1, 1)
WHOLE_IMAGES = [(8, 1, 1), (1, 8, 1), (4, 2, 1)]
DIVIDED_IMAGES = [(2, 2, 2), (4, 1, 2)]
CASES = [
    *(("fcn_vgg", mesh) for mesh in WHOLE_IMAGES + DIVIDED_IMAGES),
    *((name, mesh) for name in ("unet_resnet", "fcn_resnet") for mesh in ((8, 1, 1), (2, 2, 2))),
]


def two_steps(config, mesh, dtype=jnp.float32):
    """Returns the state and the logs after each of two steps of SGD. The momentum of the first is its gradient."""
    config.mesh = dict(zip(sharding.AXES, mesh, strict=True))
    config.update_from_flattened_dict({"optimizer.name": "sgd", "optimizer.learning_rate": 0.01, "train.batch_size": 8})
    experiment, source = tiny_experiment(config, jax.devices()[:1] if mesh == ONE else None)
    state, seen = in_precision(experiment.steps.init(), dtype), []
    with experiment.task.data.train_batches(source, config.data, batch_size=8, seed=0, start_step=0) as batches:
        for _ in range(2):
            state, logs = experiment.steps.train(state, experiment.steps.place(next(batches)))
            seen.append(jax.device_get((state, logs)))
    return seen


def semantic_steps(name, mesh):
    """The steps of a model in float64, on images just high enough to be divided over two devices."""
    with float64():
        config = tiny_config(precision="float64", data__image_size=(256, 32))
        config.model = {"name": name, **SEMANTIC[name]}
        return two_steps(config, mesh, jnp.float64)


@pytest.fixture(scope="module")
def on_one_device():
    """A function that returns the steps of a model on one device, computed once per model."""
    return functools.cache(lambda name: semantic_steps(name, ONE))


@pytest.mark.parametrize(("name", "mesh"), CASES, ids=str)
def test_any_mesh_takes_the_steps_of_one_device(on_one_device, name, mesh):
    chex.assert_trees_all_close(semantic_steps(name, mesh), on_one_device(name), rtol=1e-5, atol=1e-5)


def every_so_many_anchors(logits, deltas, anchors, valid, sizes, proposal):
    """Proposals of which no rounding decides: as ``rpn.propose``, but what the network says of them is not asked."""
    del logits, deltas, sizes
    boxes, valid = jnp.concatenate(anchors, axis=1), jnp.concatenate(valid, axis=1)
    chosen = np.linspace(0, boxes.shape[1] - 1, proposal.post_nms_top_n).astype(int)
    return rpn.Proposals(boxes[:, chosen], jnp.ones((len(boxes), len(chosen))), valid[:, chosen])


@pytest.fixture(scope="module")
def detector_steps():
    """The steps of a detector whose proposals are given, on a mesh."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rpn, "propose", every_so_many_anchors)
        yield lambda mesh: two_steps(tiny_detector(), mesh)


@pytest.fixture(scope="module")
def detector_on_one_device(detector_steps):
    return detector_steps(ONE)


@pytest.mark.parametrize("mesh", WHOLE_IMAGES, ids=str)
def test_on_any_mesh_a_detector_takes_the_steps_of_one_device(detector_steps, detector_on_one_device, mesh):
    chex.assert_trees_all_close(detector_steps(mesh), detector_on_one_device, rtol=1e-4, atol=1e-4)
