"""Words in pictures."""

import numpy as np
import pytest

from jaxseg.reporting.text import ink_on, shorten_text, text_size, write_text


def written(text, corner=(2, 2), shape=(40, 200, 3)):
    canvas = np.full(shape, 255, np.uint8)
    write_text(canvas, text, corner, 14)
    return canvas


@pytest.mark.parametrize("text", ["Straße", "kočka", "мяч", "γάτα", "قطة"])
def test_letters_beyond_ascii_are_drawn_and_differ(text):
    # A font without these letters draws the same box for all of them.
    boxes = written("\ue000" * len(text))
    assert (written(text) != boxes).any()
    assert (written(text) != written(text[::-1])).any()
    assert (written(text) < 128).any()


def test_text_beyond_the_border_is_cut_off():
    for corner in ((-20, -5), (190, 35), (300, 300)):
        assert written("a long text", corner).shape == (40, 200, 3)
    np.testing.assert_array_equal(written("abc", (-8, 2))[:, :20], written("abc", (2, 2))[:, 10:30])


def test_long_text_is_shortened_to_its_room():
    assert shorten_text("cat", 14, 200) == "cat"
    short = shorten_text("a very long name of a class", 14, 80)
    assert short.endswith("…")
    assert short.startswith("a very")
    assert text_size(short, 14)[0] <= 80


def test_ink_contrasts():
    assert ink_on(np.array([240, 228, 66])) == (0, 0, 0)
    assert ink_on(np.array([0, 0, 150])) == (255, 255, 255)
