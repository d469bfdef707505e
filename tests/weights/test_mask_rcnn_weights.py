import re

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_variables

from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.weights.mappings import MASK_RCNN_V1, MASK_RCNN_V2
from jaxseg.weights.torchvision import from_state_dict, to_state_dict

MAPPINGS = {1: MASK_RCNN_V1, 2: MASK_RCNN_V2}


def narrow(version, classes=4):
    norm = {1: "frozen", 2: "batch"}[version]
    model = MaskRCNN(classes, version, depth=18, width=2, channels=4, hidden=8, norm=norm)
    image, sizes = jnp.zeros((1, 64, 64, 3)), jnp.full((1, 2), 64)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), image, sizes))
    return random_variables(shapes, seed=version)


@pytest.mark.parametrize("version", [1, 2])
def test_variables_come_back_bit_by_bit(version):
    variables = narrow(version)
    state = to_state_dict(variables, MAPPINGS[version])
    chex.assert_trees_all_equal(from_state_dict(state, variables, MAPPINGS[version]).variables, variables)


def test_names_are_torchvisions():
    first, second = (to_state_dict(narrow(version), MAPPINGS[version]) for version in (1, 2))
    assert first["roi_heads.box_head.fc6.weight"].shape == (8, 4 * 7 * 7)
    assert first["roi_heads.mask_predictor.conv5_mask.weight"].shape == (4, 4, 2, 2)
    assert "rpn.head.conv.0.0.bias" in first
    assert "backbone.body.bn1.num_batches_tracked" not in first
    assert {"rpn.head.conv.1.0.weight", "roi_heads.box_head.3.1.running_var", "roi_heads.box_head.5.bias"} <= set(
        second
    )
    assert "backbone.fpn.inner_blocks.0.0.bias" not in second
    assert second["backbone.body.bn1.num_batches_tracked"] == 0


def test_a_dense_layer_over_a_map_runs_over_channels_first():
    variables = narrow(1)
    kernel = variables["params"]["box_head"]["fc6"]["kernel"]
    chex.assert_shape(kernel, (7, 7, 4, 8))
    weight = to_state_dict(variables, MASK_RCNN_V1)["roi_heads.box_head.fc6.weight"]
    region = np.random.default_rng(0).standard_normal((7, 7, 4)).astype(np.float32)
    ours = np.einsum("ijc,ijco->o", region, kernel)
    np.testing.assert_allclose(weight @ region.transpose(2, 0, 1).ravel(), ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("version", [1, 2])
def test_the_names_of_older_files_are_read(version):
    """Before torchvision 0.13 pyramid, RPN and mask head of version 1 had other names."""
    variables = narrow(version)
    state = to_state_dict(variables, MAPPINGS[version])
    older = {old_name(name) if version == 1 else name: value for name, value in state.items()}
    assert version == 2 or len(set(older) - set(state)) == 26
    chex.assert_trees_all_equal(from_state_dict(older, variables, MAPPINGS[version]).variables, variables)


def old_name(name):
    name = re.sub(r"(fpn\.\w+_blocks\.\d)\.0\.", r"\1.", name)
    name = re.sub(r"rpn\.head\.conv\.0\.0\.", "rpn.head.conv.", name)
    return re.sub(r"mask_head\.(\d)\.0\.", lambda match: f"mask_head.mask_fcn{int(match[1]) + 1}.", name)


def test_other_classes_start_only_the_heads_anew():
    state = to_state_dict(narrow(1, classes=4), MASK_RCNN_V1)
    variables = narrow(1, classes=7)
    loaded = from_state_dict(state, variables, MASK_RCNN_V1)
    assert {name.rpartition(".")[0] for name in loaded.reinitialized} == {
        "roi_heads.box_predictor.cls_score",
        "roi_heads.box_predictor.bbox_pred",
        "roi_heads.mask_predictor.mask_fcn_logits",
    }
