"""State dicts within training checkpoints, and names with the prefixes of wrapped models."""

from collections.abc import Callable, Mapping
from typing import Any

# Entries of a checkpoint that may hold the state dict, the first one that is there counts.
WRAPPERS = (
    *("state_dict", "model_state_dict", "model", "net", "network"),
    *("model_ema", "ema_state_dict", "state_dict_ema", "ema", "module"),
)

# What DataParallel, torch.compile, and modules that hold the model put in front of every name.
PREFIXES = ("module.", "_orig_mod.", "model.")

AVERAGES = "n_averaged"  # The counter that torch's AveragedModel keeps among the entries of the model.


def find_state_dict(tree: Any, is_tensor: Callable[[Any], bool]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Returns the state dict in the content of a file, and a note per wrapper that was removed.

    Args:
      tree: dictionaries of dictionaries.
      is_tensor: tells tensors from other values.

    Raises:
      LookupError: there is none.

    >>> find_state_dict({"epoch": 3, "model": {"module.a": 1.5, "module.b": 2.5}}, lambda x: isinstance(x, float))
    ({'a': 1.5, 'b': 2.5}, ("read the entry 'model' of the checkpoint", "removed the prefix 'module.' from all names"))
    """
    notes = []
    while not (isinstance(tree, Mapping) and tree and all(map(is_tensor, tree.values()))):
        names = [name for name in WRAPPERS if isinstance(tree, Mapping) and isinstance(tree.get(name), Mapping)]
        if not names:
            raise LookupError("it is not a dictionary of tensors, and has none under " + ", ".join(WRAPPERS))
        tree = tree[names[0]]
        others = f", not {', '.join(map(repr, names[1:]))}" if names[1:] else ""
        notes.append(f"read the entry {names[0]!r} of the checkpoint{others}")
    state = {str(name): value for name, value in tree.items() if name != AVERAGES}
    while prefix := next((p for p in PREFIXES if state and all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
        notes.append(f"removed the prefix {prefix!r} from all names")
    return state, tuple(notes)
