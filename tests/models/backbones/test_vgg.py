from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template

from jaxseg.models.backbones.vgg import VGG16

GOLDEN = Path(__file__).resolve().parents[2] / "golden"


@pytest.mark.parametrize(("batch_norm", "count"), [(False, 138357544), (True, 138365992)])
def test_parameters_are_as_many_as_torchvisions(batch_norm, count):
    shapes = template(VGG16(batch_norm, classes=1000), (1, 224, 224, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == count


def test_pools_are_named_and_halve():
    model = VGG16(width=2)
    features = jax.eval_shape(
        lambda x: model.init_with_output(jax.random.key(0), x, train=False)[0], jnp.zeros((1, 65, 96, 3))
    )
    assert {name: leaf.shape for name, leaf in features.items()} == {
        "pool1": (1, 32, 48, 2),
        "pool2": (1, 16, 24, 4),
        "pool3": (1, 8, 12, 8),
        "pool4": (1, 4, 6, 16),
        "pool5": (1, 2, 3, 16),
    }


@pytest.mark.parametrize("batch_norm", [False, True])
def test_features_are_torchvisions_golden(batch_norm):
    golden = np.load(GOLDEN / f"vgg16{'_bn' if batch_norm else ''}.npz")
    model = VGG16(batch_norm)
    variables = random_variables(template(model, (1, 64, 64, 3)), seed=16)
    features = jax.jit(lambda v, x: model.apply(v, x, train=False))(variables, random_image((1, 64, 64, 3), seed=16))
    for name in ("pool3", "pool5"):
        assert relative_error(features[name][..., ::16], golden[name]) < 1e-4
