"""Small bridges between numpy and PyTorch, for the live comparisons."""

import numpy as np


def load_into(torch_model, state):
    """Loads a numpy state dict strictly: every name and shape must fit."""
    import torch

    torch_model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in state.items()})
    return torch_model.eval()


def numpy_state(torch_model):
    """A model's state dict as numpy arrays."""
    return {name: value.detach().numpy().copy() for name, value in torch_model.state_dict().items()}


def to_torch(image):
    """``[b, h, w, c]`` as a tensor ``[b, c, h, w]``."""
    import torch

    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.asarray(image), -1, 1)))


def to_numpy(tensor):
    """A tensor ``[b, c, h, w]`` as ``[b, h, w, c]``; any other rank as it is."""
    array = tensor.detach().numpy()
    return np.moveaxis(array, 1, -1) if array.ndim == 4 else array
