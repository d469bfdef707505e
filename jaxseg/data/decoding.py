"""From the content of an image file to RGB pixels of 8 bits; ``images`` has the rules and the entry points."""

import io
import warnings
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image

from jaxseg.data.exif import orientation_of, turn_upright
from jaxseg.data.jpeg import read_jpeg_header

BACKGROUND = (255, 255, 255)  # the color behind transparent pixels
LEAST_USED = 0.1  # share of the value range below which a file is nearly black or nearly of one gray
START_OF_SCAN, END_OF_JPEG, END_OF_PNG = b"\xff\xda", b"\xff\xd9", b"IEND\xaeB`\x82"
MAX_PIXELS = 1_000_000_000  # below OpenCV's own limit of 2**30

# jaxseg checks config.data.max_pixels itself. Pillow's lower limit would refuse large microscope and satellite images.
Image.MAX_IMAGE_PIXELS = None
# Pillow warns about odd metadata without naming the file, in the middle of a run.
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")


class ReadOptions(NamedTuple):
    """Options of ``config.data`` for reading images.

    Attributes:
      value_range: the values that become black and white in images with more than 8 bits. "auto" uses the range of
        the type: 0 to 65535 for 16 bits, 0 to 1 for floating point.
      page: which page of a file with several pages to read, from 0.
      max_pixels: largest number of pixels that is read.
    """

    value_range: str | tuple[float, float] = "auto"
    page: int = 0
    max_pixels: int = MAX_PIXELS


def decode(encoded: bytes, options: ReadOptions, notes: list[str]) -> np.ndarray:
    """Decodes ordinary JPEG and PNG files by OpenCV, which is faster, and everything else by Pillow."""
    header = read_jpeg_header(encoded)
    if header is not None and header.bits == 8 and header.channels in (1, 3) and encoded.endswith(END_OF_JPEG):
        check_size(header.size, options)
        pixels = _decode_by_opencv(encoded)
        if pixels is not None:
            return pixels if header.orientation == 1 else turn_upright(pixels, header.orientation)
    image = open_image(io.BytesIO(encoded))
    if image is None:  # Pillow does not know floating-point RGB, for example.
        return _to_rgb(decode_deep(encoded, options.page), options, notes)
    with image:
        check_size(image.size, options)
        if _is_ordinary(image, encoded):
            pixels = _decode_by_opencv(encoded)
            if pixels is not None:
                orientation = orientation_of(image.info.get("exif", b""))
                return pixels if orientation == 1 else turn_upright(pixels, orientation)
        _turn_to_page(image, options, notes)
        return _decode_by_pillow(image, encoded, options, notes)


def open_image(file: io.IOBase) -> Image.Image | None:
    """Opens an image by Pillow, or by its plug-in pillow-heif where that is installed; None where neither knows it."""
    try:
        return Image.open(file)
    except Image.UnidentifiedImageError:
        file.seek(4)
        is_heif = file.read(4) == b"ftyp"
        file.seek(0)
    if not is_heif:
        return None
    try:
        import pillow_heif  # here, since few people have such files
    except ImportError:
        raise ValueError("it is a HEIF or AVIF image. Install pillow-heif, or save it as JPEG or PNG") from None
    pillow_heif.register_heif_opener()
    return Image.open(file)


def _decode_by_opencv(encoded: bytes) -> np.ndarray | None:
    pixels = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    return None if pixels is None else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def check_size(size: tuple[int, int], options: ReadOptions) -> None:
    if size[0] * size[1] > options.max_pixels:
        raise ValueError(
            f"it has {size[0] * size[1]} pixels; expected at most {options.max_pixels}. Set config.data.max_pixels to "
            "a larger number, or make the image smaller"
        )


def _is_ordinary(image: Image.Image, encoded: bytes) -> bool:
    """Returns whether OpenCV decodes a file as Pillow would, and the file ends as a whole one does."""
    if image.format in ("JPEG", "MPO"):
        return image.mode in ("L", "RGB") and encoded.rstrip(b"\0").endswith(END_OF_JPEG)
    return (
        image.format == "PNG"
        and image.mode in ("1", "L", "P", "RGB")
        and not image.has_transparency_data
        and encoded.endswith(END_OF_PNG)
        and bit_depth(image) <= 8
        and page_count(image) == 1
    )


def check_end(image: Image.Image, encoded: bytes) -> None:
    """Raises ValueError for a JPEG file that ends in zeros before its end, which decoders show as gray."""
    is_jpeg = image.format in ("JPEG", "MPO")
    if is_jpeg and encoded.endswith(bytes(16)) and encoded.rfind(END_OF_JPEG) < encoded.rfind(START_OF_SCAN):
        raise ValueError("it is cut off and filled with zeros, as an interrupted download leaves it")


def bit_depth(image: Image.Image) -> int:
    """Returns the bits per value as the file has them. Pillow's mode hides those of 16-bit RGB images."""
    if image.format == "PNG" and isinstance(image.fp, io.IOBase):
        place = image.fp.tell()
        image.fp.seek(24)  # the bit depth in the first chunk
        bits = image.fp.read(1)[0]
        image.fp.seek(place)
        return bits
    if hasattr(image, "tag_v2"):
        return max(image.tag_v2.get(258, (1,)))
    return {"1": 1, "I": 32, "F": 32}.get(image.mode, 16 if image.mode.startswith("I;16") else 8)


def page_count(image: Image.Image) -> int:
    # The further pictures of an MPO file are previews and depth maps of a telephone.
    return 1 if image.format == "MPO" else getattr(image, "n_frames", 1)


def _turn_to_page(image: Image.Image, options: ReadOptions, notes: list[str]) -> None:
    pages = page_count(image)
    if options.page >= pages and not (pages == 1 and image.format in ("JPEG", "MPO", "PNG")):
        raise ValueError(f"config.data.page is {options.page}; expected less than its {pages} page(s)")
    if pages > 1:
        image.seek(options.page)
        if options.page == 0:
            notes.append(f"has {pages} pages; the first is read (config.data.page)")


def _decode_by_pillow(image: Image.Image, encoded: bytes, options: ReadOptions, notes: list[str]) -> np.ndarray:
    bits = bit_depth(image)
    if bits > 8 and image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        # Pillow cuts further channels of more than 8 bits to 8 bits.
        values = decode_deep(encoded, options.page)
        orientation = 1 if image.format == "TIFF" else orientation_of(image.info.get("exif", b""))
        return turn_upright(_to_rgb(values, options, notes), orientation)
    # A TIFF image is upright when it is loaded; its orientation is gone from then on.
    orientation = orientation_of(image.info.get("exif", b"")) if image.format != "TIFF" else 1
    image.load()
    check_end(image, encoded)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        signed = 2 in np.ravel(image.tag_v2.get(339, 1)) if hasattr(image, "tag_v2") else False
        bits = 16 if image.format == "PNG" else bits
        values = np.asarray(image)
        limits = (0.0, 1.0) if image.mode == "F" else _limits(bits, signed)
        return turn_upright(np.repeat(_scale(values, limits, options, notes)[..., None], 3, axis=-1), orientation)
    return turn_upright(np.asarray(_flatten(image)), orientation)


def _flatten(image: Image.Image) -> Image.Image:
    """Converts an image of 8 bits to RGB, its transparent parts on the background."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (*BACKGROUND, 255)), image)
    return image.convert("RGB")


def decode_deep(encoded: bytes, page: int) -> np.ndarray:
    """Decodes an image with all its bits and channels by OpenCV: ``[h, w]`` or ``[h, w, c]`` in the order BGRA."""
    content = np.frombuffer(encoded, np.uint8)
    decoded, pages = None, ()
    if page == 0 and content.size:
        decoded = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    elif content.size:
        _, pages = cv2.imdecodemulti(content, cv2.IMREAD_UNCHANGED, range=(page, page + 1))
    decoded = pages[0] if pages else decoded
    if decoded is None:
        raise ValueError("it is not an image file, or not a whole one")
    return decoded


def _to_rgb(values: np.ndarray, options: ReadOptions, notes: list[str]) -> np.ndarray:
    """Scales what OpenCV decoded to 8 bits and returns it as RGB, transparent parts on the background."""
    if values.dtype != np.uint8:
        limits = (0.0, 1.0) if values.dtype.kind == "f" else _limits(8 * values.itemsize, values.dtype.kind == "i")
        colors = values if values.ndim == 2 or values.shape[-1] in (1, 3) else values[..., :-1]
        scaled = _scale(colors, limits, options, notes)
        if colors.shape != values.shape:
            alpha = _scale(values[..., -1:], limits, ReadOptions(), [])
            scaled = np.concatenate([scaled, alpha], axis=-1)
        values = scaled
    if values.ndim == 2 or values.shape[-1] == 1:
        return np.repeat(values.reshape(*values.shape[:2], 1), 3, axis=-1)
    if values.shape[-1] == 3:
        return np.ascontiguousarray(values[..., ::-1])
    return np.asarray(_flatten(Image.fromarray(np.ascontiguousarray(values[..., [2, 1, 0, 3]]))))


def _limits(bits: int, signed: bool) -> tuple[float, float]:
    return (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if signed else (0.0, 2.0**bits - 1)


def _scale(values: np.ndarray, limits: tuple[float, float], options: ReadOptions, notes: list[str]) -> np.ndarray:
    """Scales values so that ``options.value_range``, or ``limits`` with "auto", becomes 0 to 255."""
    low, high = limits if options.value_range == "auto" else options.value_range
    least, most = float(values.min(initial=low)), float(values.max(initial=low))
    if not np.isfinite([least, most]).all():
        raise ValueError("it has values that are not numbers")
    if options.value_range == "auto":
        if values.dtype.kind == "f" and (least < low or most > high):
            raise ValueError(
                f"it has values from {least:g} to {most:g}; expected 0 to 1. Set config.data.value_range, for example "
                f"{min(least, 0.0):g},{most:g}"
            )
        if most - least < LEAST_USED * (high - low):
            notes.append(
                f"uses the values {least:g} to {most:g} of {low:g} to {high:g}: set config.data.value_range, for "
                f"example {min(least, 0.0):g},{most:g}"
            )
    scaled = (values.astype(np.float64) - low) / (high - low)
    return np.rint(255 * scaled.clip(0, 1)).astype(np.uint8)
