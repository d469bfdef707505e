import collections
import io
import pickle
import zipfile

import numpy as np
import pytest

from jaxseg.weights import pickles
from jaxseg.weights.pickles import LEGACY_MAGIC, read_pth


class Global:
    """Pickles as a name of a module, without that module being there."""

    def __init__(self, module, name):
        self.module, self.name = module, name


class Call:
    """Pickles as the call of a name."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments


class Storage:
    """Pickles as the reference to a tensor's storage."""

    def __init__(self, key, array, legacy=False):
        kinds = {"f4": "FloatStorage", "i8": "LongStorage", "f2": "HalfStorage", "b1": "BoolStorage"}
        kind = Global("torch", kinds[array.dtype.str[1:]])
        self.fields = ("storage", kind, key, "cpu", array.size) + ((None,) if legacy else ())
        self.array = array


class Writer(pickle._Pickler):
    """Writes what PyTorch would write, without PyTorch."""

    def persistent_id(self, obj):
        return obj.fields if isinstance(obj, Storage) else None

    def save(self, obj, save_persistent_id=True):
        if isinstance(obj, Global):
            return self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
        if isinstance(obj, Call):
            return self._save_call(obj)
        return super().save(obj, save_persistent_id)

    def _save_call(self, call):
        self.save(call.function)
        self.save(tuple(call.arguments))
        self.write(pickle.REDUCE)


def dumped(obj):
    buffer = io.BytesIO()
    Writer(buffer, protocol=2).dump(obj)
    return buffer.getvalue()


def tensor(key, array, size=None, stride=None, offset=0, legacy=False):
    """A tensor as a state dict holds it; size and stride may lie."""
    flat = np.ascontiguousarray(array)
    size = array.shape if size is None else size
    stride = tuple(s // array.itemsize for s in array.strides) if stride is None else stride
    build = Global("torch._utils", "_rebuild_tensor_v2")
    hooks = Call(Global("collections", "OrderedDict"))
    return Call(build, Storage(key, flat, legacy), offset, size, stride, False, hooks)


def write_zip(path, tree, arrays):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", dumped(tree))
        archive.writestr("archive/byteorder", "little")
        for key, array in arrays.items():
            archive.writestr(f"archive/data/{key}", array.tobytes())


def write_legacy(path, tree, arrays):
    with path.open("wb") as file:
        for part in (LEGACY_MAGIC, 1001, {"little_endian": True}, tree, list(arrays)):
            file.write(dumped(part))
        for array in arrays.values():
            file.write(array.size.to_bytes(8, "little") + array.tobytes())


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {"0": rng.standard_normal((2, 3)).astype(np.float32), "1": np.array(7), "2": np.array([True, False])}


@pytest.mark.parametrize("write", [write_zip, write_legacy])
def test_state_dicts_of_both_forms_are_read(tmp_path, arrays, write):
    path = tmp_path / "weights.pth"
    legacy = write is write_legacy
    names = {"weight": "0", "counter": "1", "flags": "2"}
    write(path, {name: tensor(key, arrays[key], legacy=legacy) for name, key in names.items()}, arrays)
    state = read_pth(path)
    assert list(state) == list(names)
    for name, key in names.items():
        np.testing.assert_array_equal(state[name], arrays[key])
        assert state[name].dtype == arrays[key].dtype


def test_tensors_are_windows_on_their_storage(tmp_path, arrays):
    path = tmp_path / "weights.pth"
    turned = tensor("0", arrays["0"], size=(3, 2), stride=(1, 3))
    part = tensor("0", arrays["0"], size=(2,), stride=(1,), offset=4)
    empty = tensor("0", arrays["0"], size=(0, 5), stride=(5, 1))
    write_zip(path, {"turned": turned, "part": part, "empty": empty}, arrays)
    state = read_pth(path)
    np.testing.assert_array_equal(state["turned"], arrays["0"].T)
    np.testing.assert_array_equal(state["part"], arrays["0"].ravel()[4:])
    assert state["empty"].shape == (0, 5)


@pytest.mark.parametrize("write", [write_zip, write_legacy])
@pytest.mark.parametrize(
    ("module", "name"), [("os", "system"), ("posix", "system"), ("builtins", "eval"), ("torch.hub", "load")]
)
def test_a_hostile_file_is_refused_and_runs_nothing(tmp_path, write, module, name):
    path, trace = tmp_path / "hostile.pth", tmp_path / "executed"
    write(path, {"weight": Call(Global(module, name), f"touch {trace}")}, {})
    with pytest.raises(ValueError, match=f"{module}.{name}"):
        read_pth(path)
    assert not trace.exists()


def test_the_hostile_file_would_have_run(tmp_path):
    """That the test above can fail: Python's own unpickler runs what the same pickle says."""
    trace = tmp_path / "executed"
    pickle.loads(dumped(Call(Global("os", "system"), f"touch {trace}")))
    assert trace.exists()


@pytest.mark.parametrize(
    "lie", [{"size": (2, 4)}, {"offset": 3}, {"stride": (100, 1)}, {"stride": (-3, 1)}, {"offset": -1}, {"size": (6,)}]
)
def test_a_tensor_cannot_reach_beyond_its_storage(tmp_path, arrays, lie):
    path = tmp_path / "liar.pth"
    write_zip(path, {"weight": tensor("0", arrays["0"], **lie)}, arrays)
    with pytest.raises(ValueError, match=r"beyond its storage|impossible shape"):
        read_pth(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])])
def test_other_files_are_refused_with_a_remedy(tmp_path, content):
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"torch.save\(model.state_dict\(\), path\)"):
        read_pth(path)


def test_a_file_without_a_state_dict_is_refused(tmp_path, arrays):
    path = tmp_path / "list.pth"
    write_zip(path, [tensor("0", arrays["0"])], arrays)
    with pytest.raises(ValueError, match="not a dictionary of tensors"):
        read_pth(path)


def test_a_file_cannot_dress_up_its_dictionary(tmp_path, arrays):
    """A state dict carries ``_metadata``; nothing that comes that way, ``items`` for one, is kept."""
    ordered = collections.OrderedDict(weight=1)
    ordered._metadata = {"items": "theirs"}
    restored = pickles.TensorUnpickler(io.BytesIO(pickle.dumps(ordered)), None).load()
    assert restored == {"weight": 1}
    assert not hasattr(restored, "_metadata")


@pytest.mark.parametrize("zipped", [True, False])
def test_what_torch_writes_is_read(tmp_path, zipped):
    torch = pytest.importorskip("torch", reason="the live comparison needs torch")
    path = tmp_path / "weights.pth"
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    state = model.state_dict()
    state["half"] = torch.arange(6).reshape(2, 3).T.to(torch.bfloat16)
    state["parameter"] = torch.nn.Parameter(torch.ones(2, dtype=torch.float64))
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    read = read_pth(path)
    assert list(read) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(read[name].astype(np.float64), value.detach().double().numpy())
