"""ONNX files of trained models, and their predictions by onnxruntime.

A file is an ordinary ONNX model: its input ``image`` is uint8 ``[b, h, w, 3]``, its outputs have the names of
``stablehlo.OUTPUTS``. The description is JSON in the metadata, under the key "jaxseg". These lines run it:

    import numpy, onnxruntime
    from PIL import Image

    session = onnxruntime.InferenceSession("model.onnx")
    image = numpy.asarray(Image.open("photo.jpg").convert("RGB").resize((640, 480)))  # The size of the export.
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, {"image": image[None]})))
    print(outputs["label"].shape)
"""

import importlib.util
import json
import pathlib
from typing import Any

import numpy as np

from jaxseg.inference.stablehlo import Export
from jaxseg.storage import write_bytes

INPUT, KEY = "image", "jaxseg"


class OnnxProgram:
    """An ONNX model that onnxruntime runs on the CPU.

    Args:
      content: the bytes of the file.
    """

    def __init__(self, content: bytes):
        check_libraries("onnxruntime")
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # The converter declares some inner shapes as of another axis order.
        self.content = content
        self.session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        self._names = [output.name for output in self.session.get_outputs()]

    def call(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Takes uint8 ``[b, h, w, 3]`` and returns a dictionary of arrays, see ``stablehlo.OUTPUTS``."""
        return dict(zip(self._names, self.session.run(self._names, {INPUT: images}), strict=True))


def write_onnx(path: pathlib.Path, export: Export) -> None:
    """Writes an ONNX export with its description; the file appears when it is complete."""
    import onnx

    assert isinstance(export.program, OnnxProgram)
    model = onnx.load_from_string(export.program.content)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {KEY: json.dumps(export.description)})
    write_bytes(path, model.SerializeToString())


def read_onnx(path: pathlib.Path) -> Export:
    """Reads an ONNX export.

    Raises:
      ValueError: the file is not an export of jaxseg, or onnxruntime is not installed.
    """
    check_libraries("onnxruntime")
    try:
        program = OnnxProgram(path.read_bytes())
        description: dict[str, Any] = json.loads(program.session.get_modelmeta().custom_metadata_map[KEY])
    except FileNotFoundError:
        raise ValueError(f"model is {path}, which does not exist; expected a file of jaxseg export.") from None
    except Exception as error:  # onnxruntime raises types of its own for damaged files
        raise ValueError(f"model is {path}, which cannot be read ({error}); export it again.") from error
    return Export(program, description)


def check_libraries(*names: str) -> None:
    """Checks that libraries for ONNX are installed.

    Raises:
      ValueError: one is missing.
    """
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise ValueError(f"--format onnx needs {name}, which is not installed. Run pip install 'jaxseg[onnx]'.")
