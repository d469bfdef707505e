"""The same network in PyTorch: its training step and its predictions, run the ways that people run them.

Images and labels lie on the device beforehand, normalized already, and nothing is copied back. The training step has
forward pass, loss, backward pass and the config's optimizer; with ``precision = "bfloat16"`` the forward pass and the
loss run under AMP, with "float32" products are not rounded to TF32, as in jaxseg.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

from jaxseg.benchmarks.timing import Contender
from jaxseg.benchmarks.torch_networks import Network, make_network
from jaxseg.run.experiment import Experiment
from jaxseg.run.state import TrainState

OPTIMIZERS = {
    "rmsprop": lambda parameters, c: torch.optim.RMSprop(parameters, c.learning_rate, alpha=0.9, eps=1e-7),
    "sgd": lambda parameters, c: torch.optim.SGD(parameters, c.learning_rate, momentum=0.9),
    "adam": lambda parameters, c: torch.optim.Adam(parameters, c.learning_rate),
    "adamw": lambda parameters, c: torch.optim.AdamW(parameters, c.learning_rate, weight_decay=c.weight_decay),
}


def torch_contenders(
    experiment: Experiment, state: TrainState, modes: tuple[str, ...], *, training: bool
) -> list[Contender]:
    """Returns the config's network in PyTorch in each of the modes that it has.

    Args:
      experiment: jaxseg's.
      state: jaxseg's; detectors get a copy of its weights, so both find equally much.
      modes: "eager", "channels_last" (which is NHWC in memory) and "compiled" (by torch.compile, NHWC too).
      training: whether to measure the training step or predictions.

    Raises:
      ValueError: there is no such network in PyTorch, or it has another number of parameters.
    """
    platform = experiment.mesh.devices.flat[0].platform
    device = choose_device(platform)
    exactly = experiment.config.precision == "float32"
    torch.set_float32_matmul_precision("highest" if exactly else "high")
    torch.backends.cudnn.allow_tf32 = not exactly
    torch.backends.cudnn.benchmark = True  # shapes are static: PyTorch may try which algorithm is the quickest
    network = make_network(experiment, state, training=training)
    make = _train_step if training else _predictions
    return [_contender(experiment.config, network, mode, device, make) for mode in modes if mode in network.modes]


def choose_device(platform: str) -> torch.device:
    """Returns PyTorch's name of the first device of JAX's kind.

    Raises:
      ValueError: PyTorch has no such device here.
    """
    if platform == "cpu":
        return torch.device("cpu")
    if platform == "gpu" and torch.cuda.is_available():
        torch.cuda.init()  # Memory statistics fail on a device that nothing has used yet.
        return torch.device("cuda:0")
    raise ValueError(f"--against torch: jax uses a {platform}; expected a device of PyTorch. Set JAX_PLATFORMS=cpu.")


def repeat(step: Callable[[], Any], device: torch.device) -> Callable[[int], None]:
    """Returns a function that takes a number of steps and waits until the device is done."""

    def run(count: int) -> None:
        for _ in range(count):
            step()
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return run


def memory_held(device: torch.device) -> int:
    """Returns the bytes that tensors take of a GPU's memory now; 0 for a CPU, which keeps no account."""
    if device.type != "cuda":
        return 0
    torch.cuda.reset_peak_memory_stats(device)
    return torch.cuda.memory_allocated(device)


def memory_needed(held: int, device: torch.device) -> int | None:
    """Returns the most bytes that tensors took since ``memory_held``, without those held then; None for a CPU."""
    return torch.cuda.max_memory_allocated(device) - held if device.type == "cuda" else None


def _train_step(config: Any, network: Network, mode: str, device: torch.device) -> Callable[[], None]:
    module, forward, inputs = _ready(network, mode, device)
    targets = _on(network.targets, device)
    module.train()
    optimizer = OPTIMIZERS[config.optimizer.name]([p for p in module.parameters() if p.requires_grad], config.optimizer)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        with _amp(config, device):
            loss = network.loss(forward(*inputs), *targets)
        loss.backward()
        if config.optimizer.clip_norm:
            torch.nn.utils.clip_grad_norm_(module.parameters(), config.optimizer.clip_norm)
        optimizer.step()

    return step


def _predictions(config: Any, network: Network, mode: str, device: torch.device) -> Callable[[], None]:
    module, forward, inputs = _ready(network, mode, device)
    module.eval()

    def step() -> None:
        with torch.inference_mode(), _amp(config, device):
            forward(*inputs)

    return step


def _amp(config: Any, device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, torch.bfloat16, enabled=config.precision == "bfloat16")


def _contender(config: Any, network: Network, mode: str, device: torch.device, make: Callable) -> Contender:
    held = memory_held(device)
    run = repeat(make(config, network, mode, device), device)
    start = time.perf_counter()
    run(1)  # compiles
    seconds = time.perf_counter() - start if mode == "compiled" else None
    run(1)  # now the optimizer has all that it keeps
    peak = memory_needed(held, device)
    return Contender("torch", mode, run, config.train.batch_size, compile_seconds=seconds, peak_bytes=lambda: peak)


def _ready(network: Network, mode: str, device: torch.device) -> tuple[torch.nn.Module, Callable, tuple]:
    """Returns a new network, how to call it, and its inputs, laid out in memory as the mode says."""
    layout = torch.contiguous_format if mode == "eager" else torch.channels_last
    module = network.make().to(device, memory_format=layout)
    inputs = tuple(_laid_out(value, layout) for value in _on(network.inputs, device))
    return module, torch.compile(module) if mode == "compiled" else module, inputs


def _on(values: Any, device: torch.device) -> Any:
    """Tensors in tuples, lists and dictionaries, moved to the device; those that are there stay the same."""
    if isinstance(values, torch.Tensor):
        return values.to(device)
    if isinstance(values, dict):
        return {name: _on(value, device) for name, value in values.items()}
    return type(values)(_on(value, device) for value in values)


def _laid_out(values: Any, layout: torch.memory_format) -> Any:
    """Lays out batches of images in memory; lists of images, which torchvision batches itself, stay as they are."""
    return values.contiguous(memory_format=layout) if isinstance(values, torch.Tensor) and values.ndim == 4 else values
