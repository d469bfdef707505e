import hashlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from jaxseg.weights import files
from jaxseg.weights.files import find_weights, frozen_norm_epsilon, read_weights


def test_safetensors_are_read(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_file({"conv1.weight": np.arange(6, dtype=np.float32)}, path)
    np.testing.assert_array_equal(read_weights(path)["conv1.weight"], np.arange(6))


@pytest.mark.parametrize(
    ("name", "message"), [("weights.ckpt", "ends in '.ckpt'"), ("absent.pth", "expected an existing")]
)
def test_other_files_are_refused(tmp_path, name, message):
    with pytest.raises(ValueError, match=message):
        read_weights(tmp_path / name)


@pytest.mark.parametrize("name", ["damaged.safetensors", "damaged.pth"])
def test_damaged_files_are_refused(tmp_path, name):
    (tmp_path / name).write_bytes(b"these are no weights")
    with pytest.raises(ValueError, match=f"{name} was not read"):
        read_weights(tmp_path / name)


def test_a_path_is_its_own_file_and_anything_else_an_error(tmp_path):
    path = tmp_path / "own.pth"
    path.write_bytes(b"")
    assert find_weights(str(path), tmp_path) == path
    with pytest.raises(ValueError, match=r"no weights 'ResNet7'.*ResNet50_Weights.IMAGENET1K_V2"):
        find_weights("ResNet7", tmp_path)


def download_of(content, monkeypatch, tmp_path, digits):
    """A torchvision name whose file is served from this machine and claims a hash."""
    source = tmp_path / "origin"
    source.mkdir()
    (source / f"tiny-{digits}.pth").write_bytes(content)
    monkeypatch.setattr(files, "ORIGIN", source.as_uri() + "/")
    monkeypatch.setitem(files.DOWNLOADS, "Tiny.V1", f"tiny-{digits}.pth")
    return tmp_path / "cache" / f"tiny-{digits}.pth"


def test_downloads_are_verified_and_kept(monkeypatch, tmp_path):
    content = b"some weights"
    path = download_of(content, monkeypatch, tmp_path, hashlib.sha256(content).hexdigest()[:8])
    assert find_weights("Tiny.V1", path.parent) == path
    monkeypatch.setattr(files, "ORIGIN", "file:///nowhere/")
    assert find_weights("Tiny.V1", path.parent).read_bytes() == content


def test_a_download_with_another_hash_is_thrown_away(monkeypatch, tmp_path):
    path = download_of(b"other bytes", monkeypatch, tmp_path, "0123abcd")
    with pytest.raises(ValueError, match="expected was 0123abcd"):
        find_weights("Tiny.V1", path.parent)
    assert list(path.parent.iterdir()) == []


def test_only_the_first_detectors_frozen_norms_have_no_epsilon(monkeypatch, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"anything")
    assert frozen_norm_epsilon(path) == 1e-5
    monkeypatch.setattr(files, "COCO_V1_DETECTOR", hashlib.sha256(b"anything").hexdigest()[:8])
    assert frozen_norm_epsilon(path) == 0.0


def test_the_names_of_downloads_carry_their_hashes():
    assert files.DOWNLOADS["MaskRCNN_ResNet50_FPN_Weights.COCO_V1"].endswith(f"-{files.COCO_V1_DETECTOR}.pth")
