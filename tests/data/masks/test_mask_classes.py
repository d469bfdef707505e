"""What masks mean: every kind of file that editors and annotation tools write, with classes worked out by hand."""

import cv2
import numpy as np
import pytest
from PIL import Image

from jaxseg.data.masks import class_lists
from jaxseg.data.masks.classes import decide
from jaxseg.data.masks.scan import scan_masks
from jaxseg.data.report import Notices

RED, GREEN, BLUE, BLACK = (255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)
BLOCKS = np.kron(np.array([[0, 1], [1, 0]], np.uint8), np.ones((16, 16), np.uint8))  # half 0, half 1


@pytest.fixture
def decided(tmp_path):
    """A function that decides for the files of a folder: class names, label maps by stem, notices, palette."""

    def run(listed=None):
        paths = sorted(path for path in tmp_path.iterdir() if path.suffix in (".png", ".jpg", ".tif"))
        notices = Notices()
        summaries = scan_masks(paths, tmp_path / "cache")
        assert not [summary.error for summary in summaries if summary.error]
        decision = decide(summaries, paths, class_lists.find_class_list([tmp_path]), notices)
        labels = {path.stem: decision.coding(path) for path in paths}
        return decision.class_names, labels, [str(notice) for notice in notices.all()], decision.palette.tolist()

    return run


def save(path, array, palette=None, mode=None, **options):
    image = Image.fromarray(np.asarray(array), mode) if mode else Image.fromarray(np.asarray(array))
    if palette is not None:
        image.putpalette([part for color in palette for part in color])
    image.save(path, **options)


def test_channels_that_agree_are_one_number(tmp_path, decided):
    """Three equal channels, with opaque alpha, gray with alpha, and plain gray."""
    rgb = np.repeat(BLOCKS[..., None], 3, axis=-1)
    save(tmp_path / "rgb.png", rgb)
    save(tmp_path / "rgba.png", np.concatenate([rgb, np.full((32, 32, 1), 255, np.uint8)], axis=-1))
    Image.merge("LA", [Image.fromarray(BLOCKS), Image.new("L", (32, 32), 255)]).save(tmp_path / "la.png")
    save(tmp_path / "gray.png", BLOCKS)
    names, labels, notices, _ = decided()
    assert names == ("class 0", "class 1")
    assert not notices
    for label in labels.values():
        np.testing.assert_array_equal(label, BLOCKS)


def test_alpha_is_the_mask_where_nothing_else_is(tmp_path, decided):
    rgba = np.zeros((32, 32, 4), np.uint8)
    rgba[..., 3] = 255 * BLOCKS
    save(tmp_path / "a.png", rgba)
    names, labels, _, _ = decided()
    assert names == ("background", "foreground")
    np.testing.assert_array_equal(labels["a"], BLOCKS)


@pytest.mark.parametrize("classes", ["", "background\npet\n"])
def test_black_and_white_next_to_class_numbers_is_refused(tmp_path, decided, classes):
    """In a.png, 255 may be the class 1 of b.png and c.png, or pixels to ignore; a list of numbers decides."""
    save(tmp_path / "a.png", 255 * BLOCKS)
    save(tmp_path / "b.png", BLOCKS)
    save(tmp_path / "c.png", BLOCKS[::-1])
    if classes:
        (tmp_path / "classes.txt").write_text(classes)
    with pytest.raises(ValueError, match=r"a\.png, the first of 1 mask.*b\.png, the first of 2, has class numbers"):
        decided()
    (tmp_path / "classes.txt").unlink(missing_ok=True)
    (tmp_path / "_classes.csv").write_text("Pixel Value, Class\n0, background\n1, pet\n")
    names, labels, _, _ = decided()
    assert names == ("background", "pet")
    np.testing.assert_array_equal(labels["a"], 255 * BLOCKS)
    np.testing.assert_array_equal(labels["b"], BLOCKS)


def test_white_next_to_class_numbers_in_one_mask_is_ignored_in_all(tmp_path, decided):
    both = BLOCKS.copy()
    both[0] = 255
    save(tmp_path / "a.png", 255 * BLOCKS)
    save(tmp_path / "b.png", both)
    names, labels, _, _ = decided()
    assert names == ("class 0", "class 1")
    np.testing.assert_array_equal(labels["a"], 255 * BLOCKS)
    np.testing.assert_array_equal(labels["b"], both)


@pytest.mark.parametrize("text", ["sky 0 0 255\ncar 255 0 0\n", "sky,0,0,255\ncar,255,0,0\n"])
def test_colors_become_the_classes_of_a_list(tmp_path, decided, text):
    save(tmp_path / "a.png", np.where(BLOCKS[..., None] == 1, RED, BLUE).astype(np.uint8))
    (tmp_path / "classes.txt").write_text(text)
    names, labels, notices, palette = decided()
    assert names == ("sky", "car")
    assert not notices
    assert palette == [[0, 0, 255], [255, 0, 0]]
    np.testing.assert_array_equal(labels["a"], BLOCKS)


def test_colors_become_the_classes_of_cvat(tmp_path, decided):
    save(tmp_path / "a.png", np.where(BLOCKS[..., None] == 1, GREEN, BLACK).astype(np.uint8))
    text = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ntree:0,255,0::\n"
    (tmp_path / "labelmap.txt").write_text(text)
    names, labels, _, _ = decided()
    assert names == ("background", "tree")
    np.testing.assert_array_equal(labels["a"], BLOCKS)


def test_a_color_that_the_list_lacks_is_named_but_black_is_background(tmp_path, decided):
    save(tmp_path / "a.png", np.where(BLOCKS[..., None] == 1, RED, BLACK).astype(np.uint8))
    (tmp_path / "classes.txt").write_text("car 255 0 0\n")
    names, labels, notices, _ = decided()
    assert names == ("background", "car")
    assert "have black, which classes.txt does not list" in notices[0]
    np.testing.assert_array_equal(labels["a"], BLOCKS)
    (tmp_path / "classes.txt").write_text("background 0 0 0\ncar 254 0 0\n")
    with pytest.raises(ValueError, match=r"a\.png has the color 255 0 0, one of 1 in the masks that .*classes\.txt"):
        decided()


def test_few_colors_are_classes_by_themselves(tmp_path, decided):
    """Black first, then by red, green, blue: 0 0 255 before 255 0 0."""
    save(tmp_path / "a.png", np.where(BLOCKS[..., None] == 1, RED, BLACK).astype(np.uint8))
    save(tmp_path / "b.png", np.where(BLOCKS[..., None] == 1, BLUE, BLACK).astype(np.uint8))
    names, labels, notices, palette = decided()
    assert names == ("background", "color 0 0 255", "color 255 0 0")
    assert palette == [[0, 0, 0], [0, 0, 255], [255, 0, 0]]
    np.testing.assert_array_equal(labels["a"], 2 * BLOCKS)
    np.testing.assert_array_equal(labels["b"], BLOCKS)
    assert notices[0].startswith("3 colors in masks are the classes: 0 0 0, 0 0 255, 255 0 0, the first is")


def test_many_colors_need_a_list(tmp_path, decided):
    save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"the masks have 64 colors.*at most 32, or a file classes\.txt with 'name r"):
        decided()


def test_palettes_that_differ_are_matched_by_color(tmp_path, decided):
    """Index 1 is red in one file and blue in the other; black is index 0 in one and index 1 in the other."""
    save(tmp_path / "a.png", BLOCKS, [BLACK, RED])
    save(tmp_path / "b.png", 1 - BLOCKS, [BLUE, BLACK])
    names, labels, _, _ = decided()
    assert names == ("background", "color 0 0 255", "color 255 0 0")
    np.testing.assert_array_equal(labels["a"], 2 * BLOCKS)
    np.testing.assert_array_equal(labels["b"], BLOCKS)


def test_palettes_that_agree_where_they_are_used_keep_their_indices(tmp_path, decided):
    save(tmp_path / "a.png", BLOCKS, [RED, BLUE, GREEN])
    save(tmp_path / "b.png", 2 * BLOCKS, [RED, BLACK, GREEN])  # index 1 is another color, and not used
    names, labels, notices, palette = decided()
    assert names == ("class 0", "class 1", "class 2")
    assert not notices
    assert palette == [[255, 0, 0], [0, 0, 255], [0, 255, 0]]
    np.testing.assert_array_equal(labels["b"], 2 * BLOCKS)


@pytest.mark.parametrize("listed", [False, True])
def test_gray_edges_are_thresholded_and_said(tmp_path, decided, listed):
    """Twelve masks resized with interpolation: 128 and more is foreground, as in the image before."""
    for number in range(12):
        small = np.zeros((48, 48), np.uint8)
        small[10 + number : 30 + number, 5:40] = 255
        large = cv2.resize(small, (480, 480), interpolation=cv2.INTER_LINEAR)
        assert len(np.unique(large)) > 10
        save(tmp_path / f"{number:02d}.png", large)
    if listed:
        (tmp_path / "classes.txt").write_text("ground\nhouse\n")
    names, labels, notices, _ = decided()
    assert names == (("ground", "house") if listed else ("background", "foreground"))
    assert (labels["03"][230].sum(), labels["03"][:, 200].sum()) == (350, 200)
    assert set(np.unique(labels["03"])) == {0, 1}
    assert "gray values between black and white in" in notices[0]


def test_jpeg_masks_are_thresholded(tmp_path, decided):
    for number in range(3):
        save(tmp_path / f"{number}.jpg", cv2.resize(255 * BLOCKS, (160, 160), interpolation=cv2.INTER_NEAREST))
        cv2.imwrite(str(tmp_path / f"c{number}.jpg"), np.repeat(255 * BLOCKS[..., None], 3, axis=-1))
    names, labels, _, _ = decided()
    assert names == ("background", "foreground")
    np.testing.assert_array_equal(labels["c0"], BLOCKS)


def test_masks_of_all_grays_are_refused_with_the_cause(tmp_path, decided):
    """A gradient is neither two-valued nor classes."""
    save(tmp_path / "a.png", np.tile(np.arange(256, dtype=np.uint8), (16, 1)))
    with pytest.raises(ValueError, match=r"hold 256 gray values from 0 to 255.*resized with interpolation.*JPEG"):
        decided()
    (tmp_path / "a.png").unlink()
    save(tmp_path / "b.jpg", BLOCKS * 2)
    with pytest.raises(ValueError, match="saved as JPEG"):
        decided()


def test_bits_and_bytes_mean_the_same_two_classes(tmp_path, decided):
    Image.fromarray(BLOCKS.astype(bool)).save(tmp_path / "bits.png")
    save(tmp_path / "bytes.png", 255 * BLOCKS)
    names, labels, _, _ = decided()
    assert names == ("background", "foreground")
    np.testing.assert_array_equal(labels["bits"], BLOCKS)
    np.testing.assert_array_equal(labels["bytes"], BLOCKS)
    save(tmp_path / "bytes.png", 2 * BLOCKS)
    save(tmp_path / "ones.png", BLOCKS)
    assert decided()[0] == ("class 0", "class 1", "class 2")  # next to 0, 1, 2 a set bit is 1
    np.testing.assert_array_equal(decided()[1]["bits"], BLOCKS)


@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_keep_their_numbers(tmp_path, decided, bits):
    """Pillow shows the number 3 of a 2-bit image as 255."""
    values = 3 * BLOCKS
    values[:4, :4] = 1
    values[:4, 4:8] = 2
    pixels = values.astype(np.uint8)
    packed = [pixels[:, place :: 8 // bits].astype(np.uint8) << (8 - bits * (place + 1)) for place in range(8 // bits)]
    write_png(tmp_path / "a.png", np.bitwise_or.reduce(packed), 32, bits)
    names, labels, _, _ = decided()
    assert names == ("class 0", "class 1", "class 2", "class 3")
    np.testing.assert_array_equal(labels["a"], values)


def write_png(path, rows, width, bits):
    """Writes a gray PNG file of few bits by hand, since Pillow does not."""
    import struct
    import zlib

    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    header = struct.pack(">IIBBBBB", width, len(rows), bits, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b""))


@pytest.mark.parametrize(
    ("values", "text", "expected", "meaning"),
    [
        ((0, 100, 200), "", ("value 0", "value 100", "value 200"), (0, 1, 2)),
        ((0, 128, 255), "", ("value 0", "value 128", "value 255"), (0, 1, 2)),
        ((0, 128, 255), "a\nb\nc\n", ("a", "b", "c"), (0, 1, 2)),
        ((0, 7, 255), "", ("value 0", "value 7"), (0, 1, 255)),  # small numbers: 255 is to ignore
        ((0, 100, 200, 255), "a\nb\nc\n", ("a", "b", "c"), (0, 1, 2, 255)),
        ((0, 1, 255), "", ("class 0", "class 1"), (0, 1, 255)),
        ((0, 255), "house\n", ("background", "house"), (0, 1)),
        ((0, 1), "house\n", ("background", "house"), (0, 1)),
        ((0, 1, 255), "house\n", ("background", "house"), (0, 1, 255)),
        ((0, 255), "a\nb\nc\n", ("a", "b", "c"), (0, 255)),
    ],
)
def test_numbers_are_classes_in_order(tmp_path, decided, values, text, expected, meaning):
    pixels = np.repeat(np.array(values, np.uint8), 8)[None].repeat(8, axis=0)
    save(tmp_path / "a.png", pixels)
    if text:
        (tmp_path / "classes.txt").write_text(text)
    names, labels, notices, _ = decided()
    assert names == expected
    assert labels["a"][0, ::8].tolist() == list(meaning)
    has_gaps = tuple(value for value in values if value != 255) != tuple(range(len(values) - (255 in values)))
    assert len(notices) == (has_gaps and values != (0, 255))
    if notices:
        assert "with gaps in masks are classes in order: " in notices[0]


def test_16_bits_of_0_and_65535_are_two_classes(tmp_path, decided):
    save(tmp_path / "a.tif", (65535 * BLOCKS.astype(np.int32)).astype(np.uint16))
    names, labels, _, _ = decided()
    assert names == ("background", "foreground")
    np.testing.assert_array_equal(labels["a"], BLOCKS)


def test_a_number_without_a_name_is_named(tmp_path, decided):
    save(tmp_path / "a.png", 3 * BLOCKS + BLOCKS.T * 0)
    save(tmp_path / "b.png", BLOCKS + BLOCKS.T[::-1])
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    with pytest.raises(ValueError, match=r"a\.png has the value 3; expected only 0, 1, 2 and 255, as .* lists 3 cl"):
        decided()


def test_one_number_is_no_data_set(tmp_path, decided):
    save(tmp_path / "a.png", 0 * BLOCKS)
    with pytest.raises(ValueError, match=r"hold the number 0 only; expected at least two classes.*classes\.txt"):
        decided()


def test_colored_masks_next_to_names_alone_ask_for_the_colors(tmp_path, decided):
    save(tmp_path / "a.png", np.where(BLOCKS[..., None] == 1, RED, BLUE).astype(np.uint8))
    (tmp_path / "classes.txt").write_text("sky\ncar\n")
    with pytest.raises(ValueError, match=r"classes\.txt lists names without colors, and the masks have 2 colors"):
        decided()


def test_lists_of_classes_are_read_from_all_tools(tmp_path):
    def read(name, text, encoding="utf-8"):
        (tmp_path / name).write_bytes(text.encode(encoding))
        listed = class_lists.find_class_list([tmp_path])
        (tmp_path / name).unlink()
        return listed[1:]

    assert read("classes.txt", "ground\nhouse\n\nroof, red\n") == (("ground", "house", "roof, red"), (), ())
    assert read("classes.txt", "Straße 1 2 3\r\nHaus 4 5 6\r\n", "utf-8-sig") == (
        ("Straße", "Haus"),
        ((1, 2, 3), (4, 5, 6)),
        (),
    )
    assert read("classes.txt", "Straße\nHaus", "latin-1") == (("Straße", "Haus"), (), ())
    assert read("classes.txt", "Straße\nHaus", "utf-16") == (("Straße", "Haus"), (), ())
    assert read("_classes.csv", "Pixel Value, Class\n0, background\n3, cat\n") == (("background", "cat"), (), (0, 3))
    assert read("labels.txt", "__ignore__\n_background_\ncat\n") == (("background", "cat"), (), ())
    assert read("labelmap.txt", "background:0,0,0::\ncat:1,2,3::\n") == (
        ("background", "cat"),
        ((0, 0, 0), (1, 2, 3)),
        (),
    )
    with pytest.raises(ValueError, match=r"classes\.txt has 1 different names in 2 lines"):
        read("classes.txt", "a\na\n")
    with pytest.raises(ValueError, match="same color twice"):
        read("classes.txt", "a 1 2 3\nb 1 2 3\n")
    with pytest.raises(ValueError, match=r"has the line 'b'; expected a name and three numbers"):
        read("classes.txt", "a 1 2 3\nb\nc 3 4 5\n")
