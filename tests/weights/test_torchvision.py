import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from random_weights import random_image, random_variables, relative_error, template
from torch_models import load_into, numpy_state, to_numpy, to_torch
from torchvision_oracle import load_torchvision

from jaxseg.models.backbones.resnet import ResNet
from jaxseg.models.backbones.vgg import VGG16
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.weights.mappings import FCN_RESNET, RESNET, VGG16_BN
from jaxseg.weights.mappings import VGG16 as VGG16_PLAIN
from jaxseg.weights.torchvision import from_state_dict, to_state_dict

MODELS = {
    "resnet18": (ResNet(18, classes=1000), RESNET, {}),
    "resnet34": (ResNet(34, classes=1000), RESNET, {}),
    "resnet50": (ResNet(50, classes=1000), RESNET, {}),
    "resnet101": (ResNet(101, classes=1000), RESNET, {}),
    "vgg16": (VGG16(classes=1000), VGG16_PLAIN, {"init_weights": False}),
    "vgg16_bn": (VGG16(batch_norm=True, classes=1000), VGG16_BN, {"init_weights": False}),
    "fcn_resnet50": (FCNResNet(21, 50, dropout=0.0), FCN_RESNET, {"weights_backbone": None, "aux_loss": True}),
    "fcn_resnet101": (FCNResNet(21, 101, dropout=0.0), FCN_RESNET, {"weights_backbone": None, "aux_loss": True}),
}


def small():
    model = ResNet(18, width=4, classes=3)
    variables = random_variables(template(model, (1, 32, 32, 3)), seed=0)
    return model, variables, to_state_dict(variables, RESNET)


def test_variables_come_back_bit_by_bit():
    _, variables, state = small()
    chex.assert_trees_all_equal(from_state_dict(state, variables, RESNET).variables, variables)
    assert state["bn1.num_batches_tracked"] == 0
    assert state["layer2.0.downsample.0.weight"].shape == (8, 4, 1, 1)


def test_half_precision_files_become_float32():
    _, variables, state = small()
    state = {name: value.astype(np.float16) for name, value in state.items()}
    loaded = from_state_dict(state, variables, RESNET).variables
    assert {leaf.dtype for leaf in jax.tree.leaves(loaded)} == {np.dtype("float32")}


def test_every_entry_that_does_not_fit_is_listed():
    _, variables, state = small()
    del state["conv1.weight"]
    state["surprise"] = np.zeros(1)
    state["bn1.bias"] = np.zeros(5)
    with pytest.raises(ValueError, match="does not fit") as error:
        from_state_dict(state, variables, RESNET)
    for line in (
        "conv1.weight: missing",
        "surprise: not expected",
        "bn1.bias: shape (5,), expected (4,)",
    ):
        assert line in str(error.value)


def test_another_number_of_classes_starts_the_head_anew_and_says_so():
    _, _, state = small()
    variables = random_variables(template(ResNet(18, width=4, classes=7), (1, 32, 32, 3)), seed=5)
    loaded = from_state_dict(state, variables, RESNET)
    assert sorted(loaded.reinitialized) == ["fc.bias", "fc.weight"]
    chex.assert_trees_all_equal(loaded.variables["params"]["fc"], variables["params"]["fc"])
    np.testing.assert_array_equal(loaded.variables["params"]["bn1"]["scale"], state["bn1.weight"])


def heavy(name):
    return pytest.param(name, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "name",
    ["resnet18", heavy("resnet34"), "resnet50", heavy("resnet101"), heavy("vgg16"), heavy("vgg16_bn"), "fcn_resnet50",
     heavy("fcn_resnet101")],
)  # fmt: skip
def test_state_dicts_come_back_bit_by_bit(name):
    torchvision = load_torchvision()
    model, mapping, arguments = MODELS[name]
    state = numpy_state(torchvision.models.get_model(name, weights=None, **arguments))
    again = to_state_dict(from_state_dict(state, template(model, (1, 224, 224, 3)), mapping).variables, mapping)
    chex.assert_trees_all_equal(again, state)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg16", "vgg16_bn"])
def test_logits_of_vgg16_are_torchvisions(name):
    torchvision = load_torchvision()
    model, mapping, arguments = MODELS[name]
    variables = random_variables(template(model, (1, 224, 224, 3)), seed=3)
    image = random_image((1, 224, 224, 3), seed=3)
    network = load_into(
        torchvision.models.get_model(name, weights=None, **arguments), to_state_dict(variables, mapping)
    )
    expected = to_numpy(network(to_torch(image)))
    logits = jax.jit(lambda v, x: model.apply(v, x, train=False)["logits"])(variables, image)
    assert relative_error(logits, expected) < 1e-4


@pytest.mark.parametrize("name", ["resnet18", heavy("resnet50"), heavy("fcn_resnet50"), heavy("fcn_resnet101")])
def test_a_training_step_is_torchvisions(name):
    """Outputs, running statistics and gradients, with the statistics of the batch.

    In float64: the gradients of deep networks with batch statistics are so sensitive that in float32 either library
    is 1e-3 away from its own float64.
    """
    torchvision = load_torchvision()
    model, mapping, arguments = MODELS[name]
    variables = random_variables(template(model, (1, 64, 64, 3)), seed=4)
    image = random_image((2, 64, 64, 3), seed=4)
    network = torchvision.models.get_model(name, weights=None, **arguments)
    load_into(network, to_state_dict(variables, mapping)).double()
    for module in network.modules():  # the two would draw different masks
        if isinstance(module, torchvision.torch.nn.Dropout):
            module.p = 0.0
    outputs = network.train()(to_torch(image).double())
    outputs = {"out": outputs} if name.startswith("resnet") else outputs
    sum((out**2).mean() for out in outputs.values()).backward()

    with jax.enable_x64(True):
        grads, ours, stats = _training_step(model.clone(dtype=jnp.float64), variables, image)
    for key, out in outputs.items():
        assert relative_error(ours[{"out": "logits", "aux": "aux_logits"}[key]], to_numpy(out)) < 1e-4

    theirs = {name: parameter.grad.numpy() for name, parameter in network.named_parameters()}
    grads = to_state_dict({"params": grads}, mapping)
    assert set(grads) == set(theirs)
    for name, value in theirs.items():
        assert relative_error(grads[name], value) < 1e-3, name
    stats = to_state_dict({"params": variables["params"], **stats}, mapping)
    for name, value in numpy_state(network).items():
        if name.endswith(("running_mean", "running_var")):
            assert relative_error(stats[name], value) < 1e-4, name


def _training_step(model, variables, image):
    """Gradients of the mean square of all logits, the outputs, and the statistics afterwards."""
    variables, image = jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), (variables, image))

    def loss(params):
        outputs, stats = model.apply({**variables, "params": params}, image, train=True, mutable=["batch_stats"])
        return sum((outputs[k] ** 2).mean() for k in outputs if k.endswith("logits")), (outputs, stats)

    grads, (outputs, stats) = jax.jit(jax.grad(loss, has_aux=True))(variables["params"])
    return jax.tree.map(np.asarray, (grads, outputs, stats))
