"""Networks in PyTorch of the same shape as jaxseg's, what they take, and what they learn from."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from jaxseg.benchmarks.jaxseg_steps import normalized
from jaxseg.benchmarks.random_batches import image_sizes, random_batch
from jaxseg.benchmarks.torch_detector import detector, detector_inputs
from jaxseg.benchmarks.torch_fcn_vgg import TorchFCNVGG
from jaxseg.benchmarks.torch_import import import_torchvision
from jaxseg.benchmarks.torch_unet import TorchUNet
from jaxseg.benchmarks.torch_unet_resnet import TorchUNetResNet
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState
from jaxseg.types import IGNORE, Batch


class Network(NamedTuple):
    """A network with a random batch.

    Attributes:
      make: makes the module, with the same weights each time.
      inputs: its arguments, on the CPU.
      loss: ``(outputs, *targets) -> loss``.
      targets: further arguments of the loss, on the CPU.
      modes: the modes in which the network can be run.
    """

    make: Callable[[], nn.Module]
    inputs: tuple
    loss: Callable[..., torch.Tensor]
    targets: tuple
    modes: tuple[str, ...]


def make_network(experiment: Experiment, state: TrainState, *, training: bool) -> Network:
    """Returns the counterpart of an experiment's model.

    Args:
      experiment: jaxseg's.
      state: jaxseg's, for the weights of detectors.
      training: whether it gets the training step's batch or that of predictions.

    Raises:
      ValueError: it cannot have the model's shape, or has another number of parameters.
    """
    config, model = experiment.config, experiment.task.model.module
    name = config.model.name
    module = MODULES[name](model, state)
    check_parameters(name, module, state)
    size = image_sizes(config, training=training)[0]
    batch = random_batch(config, len(experiment.task.classes.names), size)
    if config.task == "instances":
        inputs = detector_inputs(config, batch, training=training)
        # torch.compile would compile again for every number of regions.
        return Network(lambda: copy.deepcopy(module), inputs, _sum_of_losses, (), ("eager", "channels_last"))
    return Network(
        lambda: copy.deepcopy(module),
        (torch.from_numpy(normalized(config, batch.image)).permute(0, 3, 1, 2),),
        LOSSES[name](config),
        (_label(batch),),
        ("eager", "channels_last", "compiled"),
    )


def check_parameters(name: str, module: nn.Module, state: TrainState) -> None:
    """Checks that both networks have the same number of parameters.

    Raises:
      ValueError: they are not.
    """
    expected = sum(leaf.size for leaf in jax.tree.leaves(state.params))
    found = sum(parameter.numel() for parameter in module.parameters())
    if found != expected:
        raise ValueError(
            f"{name} has {found} parameters in PyTorch; expected {expected}, as in jaxseg: not to be compared"
        )


def _label(batch: Batch) -> torch.Tensor:
    return torch.from_numpy(batch.label.astype(np.int64))


def _cross_entropy(logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
    """Computes the loss of the label's central part, where a network of valid convolutions predicts no more."""
    top, left = ((whole - part) // 2 for whole, part in zip(label.shape[1:], logits.shape[2:], strict=True))
    label = label[:, top : top + logits.shape[2], left : left + logits.shape[3]]
    return functional.cross_entropy(logits, label, ignore_index=IGNORE)


def _cross_entropies(config: Any) -> Callable[[Mapping[str, torch.Tensor], torch.Tensor], torch.Tensor]:
    weights = {"out": 1.0, "aux": config.loss.auxiliary}
    return lambda outputs, label: sum(weights[head] * _cross_entropy(outputs[head], label) for head in outputs)


def _sum_of_losses(outputs: Mapping[str, torch.Tensor]) -> torch.Tensor:
    return sum(outputs.values())


def _fcn_resnet(model: Any, state: TrainState) -> nn.Module:
    del state
    if model.width != 64 or model.depth not in (50, 101):
        raise ValueError("--against torch knows fcn_resnet as torchvision has it, of depth 50 or 101 and width 64")
    make = {50: "fcn_resnet50", 101: "fcn_resnet101"}[model.depth]
    return import_torchvision().models.get_model(
        make, weights=None, weights_backbone=None, num_classes=model.classes, aux_loss=model.auxiliary
    )


# Of the models in ``torch_import.COUNTERPARTS``.
MODULES = {
    "unet": lambda model, state: TorchUNet(model),
    "unet_resnet": lambda model, state: TorchUNetResNet(model),
    "fcn_vgg": lambda model, state: TorchFCNVGG(model),
    "fcn_resnet": _fcn_resnet,
    "mask_rcnn": detector,
}
LOSSES = {
    "unet": lambda config: _cross_entropy,
    "unet_resnet": lambda config: _cross_entropy,
    "fcn_vgg": lambda config: _cross_entropy,
    "fcn_resnet": _cross_entropies,
}
