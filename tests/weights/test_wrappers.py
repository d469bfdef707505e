"""Training checkpoints and wrapped models: the state dict within, read without executing anything."""

import collections

import numpy as np
import pytest
from test_pickles import Call, Global, tensor, write_zip

from jaxseg.weights.files import read_checkpoint
from jaxseg.weights.pickles import read_pth
from jaxseg.weights.pth_writing import write_pth
from jaxseg.weights.wrappers import find_state_dict

ARRAYS = [np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4, np.float32)]


def is_array(value):
    return isinstance(value, np.ndarray)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict", "ema", "model_ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "model.", "module._orig_mod."])
def test_wrappers_and_prefixes_are_removed_with_a_note(wrapper, prefix):
    state = {f"{prefix}conv.weight": ARRAYS[0], f"{prefix}conv.bias": ARRAYS[1], "n_averaged": np.ones(())}
    found, notes = find_state_dict({"epoch": 3, wrapper: state, "optimizer": {"state": {}}}, is_array)
    assert list(found) == ["conv.weight", "conv.bias"]
    assert notes[0] == f"read the entry {wrapper!r} of the checkpoint"
    assert "".join(note.split("'")[1] for note in notes[1:]) == prefix


def test_of_several_wrappers_the_first_counts_and_the_others_are_named():
    tree = {"model": {"a": ARRAYS[0]}, "model_ema": {"a": ARRAYS[1]}}
    found, notes = find_state_dict(tree, is_array)
    assert found["a"] is ARRAYS[0]
    assert notes == ("read the entry 'model' of the checkpoint, not 'model_ema'",)


def test_a_plain_state_dict_has_no_notes():
    state = {"model.a": ARRAYS[0], "head.b": ARRAYS[1]}
    assert find_state_dict(state, is_array) == (state, ())
    with pytest.raises(LookupError, match="not a dictionary of tensors"):
        find_state_dict({"epoch": 3, "optimizer": {"lr": 1}}, is_array)


def test_torchvisions_reference_checkpoint_is_read(tmp_path):
    names = ("module.conv.weight", "module.conv.bias")
    state = collections.OrderedDict((name, tensor(str(i), ARRAYS[i])) for i, name in enumerate(names))
    arguments = Call(Global("argparse", "Namespace"))
    tree = {"model": state, "optimizer": {"state": {}, "param_groups": []}, "epoch": 25, "args": arguments}
    path = tmp_path / "checkpoint.pth"
    write_zip(path, tree, {str(i): array for i, array in enumerate(ARRAYS)})
    found = read_checkpoint(path)
    np.testing.assert_array_equal(found.arrays["conv.weight"], ARRAYS[0])
    assert found.notes == (
        "read the entry 'model' of the checkpoint",
        "removed the prefix 'module.' from all names",
    )


@pytest.mark.parametrize("dtype", ["f4", "f2", "f8", "i8", "i4", "u1", "?"])
def test_what_is_written_is_read_again(tmp_path, dtype):
    arrays = {
        "matrix": np.arange(300).reshape(3, 100).astype(dtype),
        "transposed": np.arange(6).reshape(2, 3).astype(dtype).T,
        "scalar": np.ones((), dtype),
        "empty": np.zeros((0, 3), dtype),
        "größer": np.ones(70000, dtype),
    }
    write_pth(tmp_path / "x.pth", arrays)
    back = read_pth(tmp_path / "x.pth")
    assert list(back) == list(arrays)
    for name, array in arrays.items():
        assert back[name].dtype == array.dtype
        assert back[name].shape == array.shape
        np.testing.assert_array_equal(back[name], array)


def test_types_that_pytorch_does_not_have_are_refused(tmp_path):
    with pytest.raises(ValueError, match="type complex64; expected one of float32"):
        write_pth(tmp_path / "x.pth", {"a": np.zeros(1, np.complex64)})
