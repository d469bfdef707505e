"""The one reader: odd files of every kind, each with pixels worked out by hand."""

import io
import struct

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxseg import config as defaults
from jaxseg.data.exif import orientation_of, turn_upright
from jaxseg.data.images import ReadOptions, decode_image, printable, read_header, read_image, read_options
from jaxseg.data.jpeg import JpegHeader, read_jpeg_header
from jaxseg.inference.images import to_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def save(path, image, **options):
    Image.fromarray(np.asarray(image)).save(path, **options)
    return path


def exif(orientation):
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def colors(image):
    """The pixels as a nested list of tuples."""
    return [[tuple(int(c) for c in pixel) for pixel in row] for row in image]


STORED = [[RED, GREEN], [BLUE, BLUE], [WHITE, WHITE]]  # red and green on top, white below
UPRIGHT = {
    1: STORED,
    2: [[GREEN, RED], [BLUE, BLUE], [WHITE, WHITE]],
    3: [[WHITE, WHITE], [BLUE, BLUE], [GREEN, RED]],
    4: [[WHITE, WHITE], [BLUE, BLUE], [RED, GREEN]],
    5: [[RED, BLUE, WHITE], [GREEN, BLUE, WHITE]],
    6: [[WHITE, BLUE, RED], [WHITE, BLUE, GREEN]],  # the camera was held upright: the left side is the top
    7: [[WHITE, BLUE, GREEN], [WHITE, BLUE, RED]],
    8: [[GREEN, BLUE, WHITE], [RED, BLUE, WHITE]],
}


@pytest.mark.parametrize("ending", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_images_are_upright(tmp_path, orientation, ending):
    options = {"exif": exif(orientation)} if ending != "tif" else {"tiffinfo": {274: orientation}}
    options |= {"lossless": True} if ending == "webp" else {}
    path = save(tmp_path / f"a.{ending}", np.array(STORED, np.uint8), **options)
    assert colors(read_image(path)) == UPRIGHT[orientation]
    header = read_header(path)
    assert header.stored_size == (3, 2)
    assert header.size == np.shape(UPRIGHT[orientation])[:2]
    assert header.orientation == orientation


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_a_photograph_is_upright(tmp_path, orientation):
    """A JPEG of 16x32 pixels whose upper half is white and whose lower half is black."""
    stored = np.zeros((32, 16, 3), np.uint8)
    stored[:16] = 255
    path = save(tmp_path / "a.jpg", stored, exif=exif(orientation), quality=95)
    np.testing.assert_array_equal(read_image(path), turn_upright(stored, orientation))


def test_ordinary_files_have_the_pixels_that_opencv_decodes(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    for path in (save(tmp_path / "a.jpg", image), save(tmp_path / "a.png", image), save(tmp_path / "g.png", image[0])):
        np.testing.assert_array_equal(read_image(path), cv2.imread(str(path))[..., ::-1])


def test_transparent_parts_are_white(tmp_path):
    """Full, no and half alpha: 255 * (1 - 128 / 255) = 127 of white remains."""
    rgba = np.array([[(255, 0, 0, 255), (255, 0, 0, 0), (0, 0, 0, 128)]], np.uint8)
    assert colors(read_image(save(tmp_path / "rgba.png", rgba))) == [[RED, WHITE, (127, 127, 127)]]
    gray = np.array([[(9, 255), (9, 0)]], np.uint8)
    Image.fromarray(gray, "LA").save(tmp_path / "la.png")
    assert colors(read_image(tmp_path / "la.png")) == [[(9, 9, 9), WHITE]]
    indexed = Image.fromarray(np.array([[0, 1]], np.uint8))
    indexed.putpalette([*RED, *GREEN])
    indexed.save(tmp_path / "p.png", transparency=1)
    assert colors(read_image(tmp_path / "p.png")) == [[RED, WHITE]]
    deep = np.array([[(0, 0, 65535, 65535), (0, 0, 65535, 0)]], np.uint16)  # blue, green, red, alpha
    cv2.imwrite(str(tmp_path / "deep.png"), deep)
    assert colors(read_image(tmp_path / "deep.png", ReadOptions((0, 65535)))) == [[RED, WHITE]]


def test_palettes_cmyk_and_black_and_white_are_rgb(tmp_path):
    indexed = Image.fromarray(np.array([[1, 0]], np.uint8))
    indexed.putpalette([*RED, *GREEN])
    for ending in ("png", "gif", "bmp"):
        indexed.save(tmp_path / f"p.{ending}")
        assert colors(read_image(tmp_path / f"p.{ending}")) == [[GREEN, RED]], ending
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.tif")
    assert colors(read_image(tmp_path / "cmyk.tif"))[0][0] == RED
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "cmyk.jpg", quality=100)
    np.testing.assert_allclose(read_image(tmp_path / "cmyk.jpg")[0, 0], RED, atol=4)
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "bw.png", bits=1)
    assert colors(read_image(tmp_path / "bw.png")) == [[WHITE, (0, 0, 0)]]


def test_16_bits_are_scaled_by_the_range_of_the_type(tmp_path):
    """65535 becomes 255, and 257 is one step."""
    values = np.array([[0, 257, 32896, 65535]], np.uint16)
    for ending in ("png", "tif"):
        path = save(tmp_path / f"a.{ending}", values)
        assert read_image(path)[0, :, 0].tolist() == [0, 1, 128, 255], ending
        cv2.imwrite(str(tmp_path / f"c.{ending}"), np.stack([values, values, values[:, ::-1]], axis=-1))
        assert colors(read_image(tmp_path / f"c.{ending}"))[0][0] == (255, 0, 0), ending
        assert read_header(path).bits == 16


def test_a_file_that_uses_little_of_its_range_says_so(tmp_path):
    """4095 of 65535 is 6 percent: auto makes it nearly black, a range of one's own does not."""
    path = save(tmp_path / "a.tif", np.array([[0, 2048, 4095]], np.uint16))
    notes = []
    assert read_image(path, notes=notes)[0, :, 0].tolist() == [0, 8, 16]
    assert notes == ["uses the values 0 to 4095 of 0 to 65535: set config.data.value_range, for example 0,4095"]
    with pytest.warns(UserWarning, match=r"a\.tif uses the values 0 to 4095"):
        read_image(path)
    for chosen in ((0.0, 4095.0), (0, 4096)):
        assert read_image(path, ReadOptions(chosen))[0, :, 0].tolist() == [0, 128, 255]


def test_floats_are_0_to_1_or_need_a_range(tmp_path):
    path = save(tmp_path / "a.tif", np.array([[0, 0.5, 1]], np.float32))
    assert read_image(path)[0, :, 0].tolist() == [0, 128, 255]
    path = save(tmp_path / "b.tif", np.array([[0, 40, 80]], np.float32))
    with pytest.raises(ValueError, match=r"b\.tif .* 0 to 80; expected 0 to 1\. Set config\.data\.value_range.* 0,80"):
        read_image(path)
    assert read_image(path, ReadOptions((0, 80)))[0, :, 0].tolist() == [0, 128, 255]
    cv2.imwrite(str(tmp_path / "c.tif"), np.array([[(0, 0.5, 1)]], np.float32))  # Pillow does not know such files
    assert colors(read_image(tmp_path / "c.tif")) == [[(255, 128, 0)]]
    path = save(tmp_path / "d.tif", np.array([[0, np.nan]], np.float32))
    with pytest.raises(ValueError, match=r"d\.tif .* not numbers"):
        read_image(path)


def test_the_first_page_is_read_and_the_pages_are_counted(tmp_path):
    pages = [Image.new("RGB", (4, 3), color) for color in (RED, GREEN, BLUE)]
    for ending in ("tif", "gif"):
        path = tmp_path / f"stack.{ending}"
        pages[0].save(path, save_all=True, append_images=pages[1:])
        assert read_header(path).pages == 3
        notes = []
        assert colors(read_image(path, notes=notes))[0][0] == RED
        assert notes == ["has 3 pages; the first is read (config.data.page)"]
        assert colors(read_image(path, ReadOptions(page=2)))[0][0] == BLUE
        with pytest.raises(ValueError, match=r"config\.data\.page is 3; expected less than its 3 page"):
            read_image(path, ReadOptions(page=3))


def test_large_images_are_read_up_to_the_limit(tmp_path):
    """Pillow alone would refuse 200 megapixels; a black-and-white file of that size is small."""
    Image.new("1", (20000, 10000)).save(tmp_path / "a.png")
    assert read_header(tmp_path / "a.png").size == (10000, 20000)
    with pytest.raises(ValueError, match=r"a\.png .*200000000 pixels; expected at most 1000\. Set config\.data\.max_p"):
        read_image(tmp_path / "a.png", ReadOptions(max_pixels=1000))
    with pytest.raises(ValueError, match=r"a\.png .*200000000 pixels"):
        read_header(tmp_path / "a.png", ReadOptions(max_pixels=1000))


def cut(path, share):
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp", "bmp", "gif"])
@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_is_cut_off_is_named(tmp_path, ending, share):
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = save(tmp_path / f"a.{ending}", image)
    read_image(path)
    cut(path, share)
    with pytest.raises(ValueError, match=rf"a\.{ending} cannot be read as an image"):
        read_image(path)


def test_a_jpeg_that_opencv_would_fill_with_gray_is_an_error(tmp_path):
    """Some versions of OpenCV decode what is there of a cut-off JPEG and return it without a word."""
    path = save(tmp_path / "a.jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    cut(path, 0.6)
    path.write_bytes(path.read_bytes() + bytes(1000))  # as an interrupted download leaves it
    with pytest.raises(ValueError, match=r"a\.jpg cannot be read as an image"):
        read_image(path)


def test_a_photograph_with_something_behind_its_end_is_whole(tmp_path):
    path = save(tmp_path / "a.jpg", np.full((16, 16, 3), 200, np.uint8))
    pixels = read_image(path)
    path.write_bytes(path.read_bytes() + b"SEFT" + bytes(range(100)))  # some telephones add such a trailer
    np.testing.assert_array_equal(read_image(path), pixels)


def entry(tag, kind, count, value):
    return struct.pack("<HHI4s", tag, kind, count, value)


ODD_EXIF = {
    "text in XResolution": entry(0x011A, 2, 4, b"abc\0"),
    "a float in YCbCrPositioning": entry(0x0213, 11, 1, struct.pack("<f", 1.5)),
    "an offset far behind the end": entry(0x010F, 2, 400, struct.pack("<I", 1 << 30)),
    "an unknown type": entry(0x0100, 99, 1, b"\1\0\0\0"),
}


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")  # as data.decoding does outside of pytest
@pytest.mark.parametrize("odd", ODD_EXIF)
def test_odd_exif_does_no_harm(tmp_path, odd):
    """The orientation beside an odd entry counts, and no warning of a library reaches people."""
    body = ODD_EXIF[odd] + entry(0x0112, 3, 1, b"\6\0\0\0")
    block = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 2) + body + bytes(4)
    path = save(tmp_path / "a.jpg", np.zeros((8, 16, 3), np.uint8), exif=block)
    assert read_image(path).shape == (16, 8, 3)


def test_damaged_exif_means_upright():
    whole = b"II*\0" + struct.pack("<IH", 8, 1) + entry(0x0112, 3, 1, b"\6\0\0\0")
    assert orientation_of(whole) == 6
    assert [orientation_of(whole[:end]) for end in range(len(whole) - 3)] == [1] * (len(whole) - 3)
    assert orientation_of(whole.replace(b"\6\0\0\0", b"\x09\0\0\0")) == 1
    assert orientation_of(b"Exif\0\0nonsense") == 1


def test_names_that_are_not_utf_8_can_be_printed(tmp_path):
    path = tmp_path / b"caf\xe9.png".decode("utf-8", "surrogateescape")
    path.write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"caf\\xe9\.png cannot be read as an image") as raised:
        read_image(path)
    str(raised.value).encode("utf-8")
    assert printable(path).endswith("caf\\xe9.png")
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), RED).save(buffer, "PNG")
    path.write_bytes(buffer.getvalue())
    assert colors(read_image(path))[0][0] == RED


def test_what_is_missing_or_a_folder_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.png cannot be read as an image: No such file"):
        read_image(tmp_path / "none.png")
    (tmp_path / "c.jpg").mkdir()
    for read in (read_image, read_header):
        with pytest.raises(ValueError, match=r"c\.jpg cannot be read as an image: Is a directory"):
            read(tmp_path / "c.jpg")


def test_options_are_checked():
    data = defaults.semantic().data
    assert read_options(data) == ReadOptions()
    data.value_range = "(0, 4095)"  # as a flag gives it
    assert read_options(data).value_range == (0, 4095)
    for given in ("0", "5,1", "a,b", "0,nan", ""):
        data.value_range = given
        with pytest.raises(ValueError, match=r"config\.data\.value_range is .*; expected 'auto' or two rising numbers"):
            read_options(data)
    data.value_range = "auto"
    data.page = -1
    with pytest.raises(ValueError, match=r"config\.data\.page is -1; expected 0 or more"):
        read_options(data)


def test_prediction_sees_the_same_pixels(tmp_path):
    """Prediction reads files through the same function."""
    rgba = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    path = save(tmp_path / "a.png", rgba, exif=exif(6))
    np.testing.assert_array_equal(to_image(path)[0], read_image(path))


def test_heif_without_its_plug_in_says_what_to_install():
    with pytest.raises(ValueError, match=r"x\.heic .*HEIF.*pillow-heif"):
        decode_image(b"\0\0\0\x18ftypheic" + bytes(100), "x.heic")


def test_the_header_of_a_jpeg_is_what_pillow_says(tmp_path):
    """Of ordinary, gray, progressive and CMYK files; no header of a file that is cut off within it."""
    image = Image.fromarray(np.zeros((24, 40, 3), np.uint8))
    expected = {"RGB": 3, "L": 1, "CMYK": 4}
    for mode, channels in expected.items():
        for progressive in (False, True):
            image.convert(mode).save(tmp_path / "a.jpg", progressive=progressive, exif=exif(6))
            encoded = (tmp_path / "a.jpg").read_bytes()
            assert read_jpeg_header(encoded) == JpegHeader((24, 40), 8, channels, 6)
    assert read_jpeg_header(encoded[:30]) is None
    assert read_jpeg_header(b"\x89PNG") is None
