"""U-Net against the same network written in PyTorch: logits, and a training step's statistics and gradients."""

from collections import OrderedDict

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from torch_models import to_numpy, to_torch

from jaxseg.models.unet import UNet, center_crop

torch = pytest.importorskip("torch")

EPSILON, MOMENTUM = 1e-3, 0.75  # PyTorch's momentum is the share of the new
LEAVES = {"weight": "kernel", "bias": "bias", "running_mean": "mean", "running_var": "var"}


def _double_conv(inputs, outputs, padding, norm):
    layers = OrderedDict()
    for i, channels in ((1, inputs), (2, outputs)):
        layers[f"conv_{i}"] = torch.nn.Conv2d(channels, outputs, 3, padding=padding, bias=not norm)
        if norm:
            layers[f"norm_{i}"] = torch.nn.BatchNorm2d(outputs, eps=EPSILON, momentum=1 - MOMENTUM)
        layers[f"relu_{i}"] = torch.nn.ReLU()
    return torch.nn.Sequential(layers)


class TorchUNet(torch.nn.Module):
    """Depth 2, four features, three classes."""

    def __init__(self, channels, padding, norm):
        super().__init__()
        self.encoder_0 = _double_conv(channels, 4, padding, norm)
        self.encoder_1 = _double_conv(4, 8, padding, norm)
        self.bottleneck = _double_conv(8, 16, padding, norm)
        self.up_1 = torch.nn.ConvTranspose2d(16, 8, 2, stride=2)
        self.decoder_1 = _double_conv(16, 8, padding, norm)
        self.up_0 = torch.nn.ConvTranspose2d(8, 4, 2, stride=2)
        self.decoder_0 = _double_conv(8, 4, padding, norm)
        self.head = torch.nn.Conv2d(4, 3, 1)

    def forward(self, x):
        def joined(skip, x):
            margin = (skip.shape[2] - x.shape[2]) // 2
            return torch.cat([skip[:, :, margin : margin + x.shape[2], margin : margin + x.shape[3]], x], dim=1)

        fine = self.encoder_0(x)
        coarse = self.encoder_1(torch.nn.functional.max_pool2d(fine, 2))
        x = self.bottleneck(torch.nn.functional.max_pool2d(coarse, 2))
        x = self.decoder_1(joined(coarse, self.up_1(x)))
        return self.head(self.decoder_0(joined(fine, self.up_0(x))))


def _randomised(network):
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if "norm" in name and tensor.dtype == torch.float32:
                tensor.uniform_(0.5, 1.5, generator=generator)
    return network


def _ours(tensors):
    """Named tensors of the PyTorch network as our tree of one collection."""
    leaves = {}
    for name, tensor in tensors:
        *path, leaf = name.split(".")
        array = tensor.detach().numpy()
        if array.ndim == 4:
            array = array.transpose(2, 3, 0, 1) if path[0].startswith("up") else array.transpose(2, 3, 1, 0)
        if path == ["head"] and leaf == "weight":
            array = array[0, 0]
        kind = "scale" if path[-1].startswith("norm") and leaf == "weight" else LEAVES[leaf]
        leaves[(*path, kind)] = array.copy()
    return unflatten_dict(leaves)


def _variables(network):
    statistics = [(name, buffer) for name, buffer in network.named_buffers() if "num_batches" not in name]
    return {"params": _ours(network.named_parameters()), "batch_stats": _ours(statistics)}


def _image(size, channels):
    return np.random.default_rng(0).standard_normal((2, size, size, channels), dtype=np.float32)


@pytest.mark.parametrize(
    ("padding", "norm", "size", "channels"),
    [("same", "batch", 16, 3), ("valid", "none", 44, 1), ("same", "none", 8, 3)],
)
def test_logits_are_those_of_pytorch(padding, norm, size, channels):
    network = _randomised(TorchUNet(channels, padding, norm == "batch")).eval()
    image = _image(size, channels)
    model = UNet(classes=3, features=4, depth=2, padding=padding, norm=norm, norm_epsilon=EPSILON)
    logits = jax.jit(lambda variables: model.apply(variables, image, train=False)["logits"])(_variables(network))
    chex.assert_trees_all_close(logits, to_numpy(network(to_torch(image))), atol=1e-4)


def _torch_step(network, image, label):
    loss = torch.nn.functional.cross_entropy(network(to_torch(image)), torch.from_numpy(label))
    loss.backward()
    return loss.item(), _ours((name, parameter.grad) for name, parameter in network.named_parameters())


def test_a_training_step_is_pytorchs():
    network = _randomised(TorchUNet(3, "same", True)).train()
    variables = _variables(network)
    image, label = _image(16, 3), np.random.default_rng(1).integers(0, 3, (2, 16, 16))
    model = UNet(classes=3, features=4, depth=2, norm_epsilon=EPSILON, norm_momentum=MOMENTUM)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        out = model.apply({**variables, "params": params}, image, train=True, mutable=["batch_stats"])[0]
        chosen = jax.nn.log_softmax(out["logits"]) * jax.nn.one_hot(label, 3)
        return -jnp.mean(jnp.sum(chosen, axis=-1))

    value, gradients = loss(variables["params"])
    their_value, their_gradients = _torch_step(network, image, label)
    np.testing.assert_allclose(value, their_value, rtol=1e-5)
    chex.assert_trees_all_close(gradients, their_gradients, atol=1e-5, rtol=1e-3)

    _, updates = model.apply(variables, image, train=True, mutable=["batch_stats"])
    expected = _biased(_variables(network)["batch_stats"], variables["batch_stats"], pixels=2 * 16 * 16)
    chex.assert_trees_all_close(updates["batch_stats"], expected, atol=1e-5)


def _biased(new, old, pixels):
    """PyTorch's running statistics as ours: it divides a batch's variance by one less than the pixels, we by all."""
    new, old = flatten_dict(new), flatten_dict(old)
    halvings = {"encoder_0": 0, "encoder_1": 1, "bottleneck": 2, "decoder_1": 1, "decoder_0": 0}
    for path in new:
        if path[-1] == "var":
            count = pixels / 4 ** halvings[path[0]]
            batch = new[path] - MOMENTUM * old[path]
            new[path] = MOMENTUM * old[path] + batch * (count - 1) / count
    return unflatten_dict(new)


def test_gradients_through_cropped_skips_are_pytorchs():
    network = _randomised(TorchUNet(1, "valid", False))
    image, label = _image(44, 1), np.random.default_rng(1).integers(0, 3, (2, 44, 44))
    model = UNet(classes=3, features=4, depth=2, padding="valid", norm="none")
    label = center_crop(label, *model.output_size(44, 44))

    @jax.jit
    @jax.grad
    def gradients(params):
        logits = model.apply({"params": params}, image, train=True)["logits"]
        return -jnp.mean(jnp.sum(jax.nn.log_softmax(logits) * jax.nn.one_hot(label, 3), axis=-1))

    theirs = _torch_step(network, image, label)[1]
    chex.assert_trees_all_close(gradients(_variables(network)["params"]), theirs, atol=1e-5, rtol=1e-3)
