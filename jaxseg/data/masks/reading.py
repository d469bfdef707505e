"""Reads one mask file: an image with a number or a color per pixel."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from jaxseg.data.decoding import bit_depth, check_end, decode_deep, open_image
from jaxseg.data.exif import orientation_of, turn_upright
from jaxseg.data.images import printable

NO_PALETTE = np.zeros((0, 3), np.uint8)
LOSSY = ("JPEG", "MPO")
SAME = 8  # largest difference of channels that still count as gray in a lossy file
OPAQUE = 128  # alpha from which a pixel counts


class Mask(NamedTuple):
    """The content of a mask file.

    Attributes:
      values: integers ``[h, w]``: gray values, palette indices, bits, or colors as ``color_code`` makes them.
      kind: "gray", "indexed", "bits" for black-and-white images of one bit, or "color".
      palette: uint8 ``[n, 3]`` of an indexed image.
      is_lossy: the file format changes values, as JPEG does.
    """

    values: np.ndarray
    kind: str
    palette: np.ndarray = NO_PALETTE
    is_lossy: bool = False


def color_code(colors: np.ndarray) -> np.ndarray:
    """Returns one number per color ``[..., 3]``: ``red * 65536 + green * 256 + blue``.

    Example:
      >>> color_code(np.array([0, 1, 2], np.uint8)).item()
      258
    """
    colors = colors.astype(np.int32)
    return colors[..., 0] << 16 | colors[..., 1] << 8 | colors[..., 2]


def code_color(code: int) -> tuple[int, int, int]:
    """Returns the color of a code.

    Example:
      >>> code_color(258)
      (0, 1, 2)
    """
    return code >> 16, code >> 8 & 255, code & 255


def read_mask(path: Path) -> Mask:
    """Reads a mask file.

    Gray images with several equal channels are gray. Transparent pixels are 0; where only alpha varies, alpha is the
    mask. Images of 2 and 4 bits keep their numbers.

    Raises:
      ValueError: the file is missing, damaged or not an image. The message names it.
    """
    try:
        return _read(path.read_bytes())
    except MemoryError:
        raise
    except Exception as error:  # damaged files make the libraries raise errors of almost any type
        reason = getattr(error, "strerror", None) or error or type(error).__name__
        raise ValueError(f"{printable(path)} cannot be read as an image: {reason}") from error


def read_values(path: Path) -> np.ndarray:
    """Reads the numbers in a label file, uint8 ``[h, w]``: gray values, or indices where it has a palette.

    Raises:
      ValueError: the file cannot be decoded, has colors, or has numbers above 255.
    """
    mask = read_mask(path)
    if mask.kind == "color":
        raise ValueError(f"{printable(path)} has colors; expected one number per pixel, as in a gray or palette image")
    if mask.values.max(initial=0) > 255:
        raise ValueError(f"{printable(path)} has the value {mask.values.max()}; expected 0 to 255")
    return mask.values.astype(np.uint8)


def read_palette(path: Path) -> np.ndarray:
    """Reads the colors of a palette image, uint8 ``[n, 3]``; another image has none."""
    return read_mask(path).palette


def _read(encoded: bytes) -> Mask:
    image = open_image(io.BytesIO(encoded))
    if image is None:
        return _of_channels(decode_deep(encoded, 0), is_lossy=False)
    with image:
        # A TIFF image is upright when it is loaded.
        orientation = orientation_of(image.info.get("exif", b"")) if image.format != "TIFF" else 1
        bits = bit_depth(image)
        if bits > 8 and image.mode in ("RGB", "RGBA", "LA"):  # Pillow cuts these to 8 bits.
            return _upright(_of_channels(decode_deep(encoded, 0), is_lossy=False), orientation)
        image.load()
        check_end(image, encoded)
        return _upright(_of_pillow(image, bits), orientation)


def _upright(mask: Mask, orientation: int) -> Mask:
    return mask if orientation == 1 else mask._replace(values=turn_upright(mask.values, orientation))


def _of_pillow(image: Image.Image, bits: int) -> Mask:
    if image.mode == "1":
        return Mask(np.asarray(image).astype(np.uint8), "bits")
    if image.mode == "P":
        return Mask(np.asarray(image), "indexed", np.array(image.getpalette(), np.uint8).reshape(-1, 3))
    if image.mode == "L":
        values = np.asarray(image)
        # Pillow stretches 2 and 4 bits to 0..255; the division returns the numbers in the file.
        values = values // (255 // (2**bits - 1)) if bits in (2, 4) else values
        return Mask(values, "gray", is_lossy=image.format in LOSSY)
    if image.mode == "F" or image.mode.startswith("I"):
        values = np.asarray(image)
        if (values != np.rint(values)).any() or values.min(initial=0) < 0:
            raise ValueError("it has fractions or negative numbers; expected one whole number per pixel")
        return Mask(values.astype(np.int32), "gray")
    if image.mode in ("LA", "La"):
        channels = np.asarray(image.convert("LA"))[..., [0, 0, 0, 1]]
    else:
        channels = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))[..., [2, 1, 0, -1]]
        channels = channels if image.has_transparency_data else channels[..., :3]
    return _of_channels(channels, is_lossy=image.format in LOSSY)


def _of_channels(channels: np.ndarray, is_lossy: bool) -> Mask:
    """Returns the mask in an array ``[h, w]`` or ``[h, w, c]`` with the channels blue, green, red and alpha."""
    if channels.ndim == 2:
        return Mask(channels, "gray", is_lossy=is_lossy)
    colors = channels[..., :3]
    if channels.shape[-1] == 4:
        alpha = channels[..., 3]
        colors = np.where((alpha >= OPAQUE)[..., None], colors, 0)
        if not colors.any():
            return Mask(alpha, "gray", is_lossy=is_lossy)
    blue, green, red = (colors[..., channel].astype(np.int32) for channel in range(3))
    tolerance = SAME if is_lossy else 0
    if max(np.abs(blue - green).max(initial=0), np.abs(green - red).max(initial=0)) <= tolerance:
        return Mask(colors[..., 1], "gray", is_lossy=is_lossy)
    if colors.dtype != np.uint8:
        raise ValueError("it has colors of more than 8 bits; expected one number per pixel, or colors of 8 bits")
    return Mask(color_code(colors[..., ::-1]), "color", is_lossy=is_lossy)
