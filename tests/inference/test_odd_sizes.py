"""Images of a single pixel, row or column: every mode and every format gives files that can be read back."""

import json
from typing import NamedTuple

import cv2
import jax.numpy as jnp
import numpy as np
import pytest
from experiments import tiny_detector
from PIL import Image
from test_tiles import Brightness, trained_model

from jaxseg.inference import Predictor
from jaxseg.inference.engine import TrainedModel
from jaxseg.inference.predict_files import predict_files
from jaxseg.inference.result_writer import Outputs
from jaxseg.models.mask_rcnn.detections import Instances
from jaxseg.models.mask_rcnn.postprocessing import DetectionConfig

pytestmark = pytest.mark.slow
SIZES = [(1, 1), (1, 5000), (5000, 1)]
MODES = [{}, {"tile": 256, "overlap": 0.25, "batch": 3}, {"flips": True, "scales": (0.5, 1.0)}]
OUTPUTS = [Outputs(polygons=True, format=name) for name in ("coco", "yolo", "labelme")]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Files of these sizes that are stored in other ways than 8-bit RGB."""
    folder, rng = tmp_path_factory.mktemp("photographs"), np.random.default_rng(0)
    for height, width in SIZES:
        name = f"{height}x{width}"
        deep = rng.integers(0, 65536, (height, width, 3), np.uint16)
        cv2.imwrite(str(folder / f"deep_{name}.png"), deep)
        shallow = (deep >> 8).astype(np.uint8)
        Image.fromarray(shallow[..., 0]).save(folder / f"gray_{name}.png")
        Image.fromarray(np.concatenate([shallow, shallow[..., :1]], axis=-1)).save(folder / f"alpha_{name}.png")
        exif = Image.Exif()
        exif[0x0112] = 6  # The file lies on its side: its height is the width that people see.
        Image.fromarray(np.ascontiguousarray(np.rot90(shallow))).save(folder / f"turned_{name}.jpg", exif=exif)
    return folder


class Detector(NamedTuple):
    """A detector that finds the whole of every image as one object."""

    detection: DetectionConfig = DetectionConfig()

    def apply(self, variables, image, sizes, extents):
        del variables, extents
        corners = jnp.concatenate([jnp.zeros_like(sizes), sizes[:, ::-1]], axis=1)[:, None].astype(jnp.float32)
        ones = jnp.ones((len(image), 1))
        masks = jnp.full((len(image), 1, 28, 28), 0.9) + 0 * image.mean()
        return Instances(corners, ones, ones.astype(int), ones > 0, masks)


def detector():
    names = ("background", "thing")
    return TrainedModel(tiny_detector(), Detector(), {}, names, np.zeros((2, 3), np.uint8), (0, 1))


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


def check_outputs(folder, sizes):
    """Masks and overlays have the sizes of the images, and all JSON files can be read."""
    for entry in json.loads((folder / "predictions.json").read_text()):
        height, width = sizes[entry["file_name"].rsplit("_", 1)[1].split(".")[0]]
        assert read(folder / entry["mask_file"]).shape == (height, width)
        assert read(folder / entry["overlay_file"]).shape[1] == width
    for path in folder.glob("*.json"):
        json.loads(path.read_text())


@pytest.mark.parametrize("options", MODES, ids=str)
@pytest.mark.parametrize(
    "make", [lambda: trained_model(Brightness(), classes=2), detector], ids=["semantic", "objects"]
)
def test_odd_images_are_predicted_and_written_in_every_mode(photographs, tmp_path, make, options):
    predictor = Predictor(make())
    sizes = {f"{height}x{width}": (height, width) for height, width in SIZES}
    extra = {} if predictor.task == "instances" else {"confidence": True, "probabilities": "npy"}
    for number, outputs in enumerate(OUTPUTS if options == {} else OUTPUTS[:1]):
        folder = tmp_path / str(number)
        done = predict_files(lambda: predictor, [photographs], folder, outputs=outputs._replace(**extra), **options)
        assert (done.done, done.failed) == (12, [])
        check_outputs(folder, sizes)
        if extra:
            assert np.load(folder / "gray_1x5000_probabilities.npy").shape == (1, 5000, 2)
            assert read(folder / "deep_5000x1_confidence.png").shape == (5000, 1)
