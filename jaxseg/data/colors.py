"""Colors for classes and objects, chosen so that people with color-blindness can also tell them apart."""

from functools import lru_cache

import cv2
import numpy as np

# Okabe and Ito, "Color Universal Design" (2008), without black.
OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)

# What linear RGB looks like without one kind of cone: Machado et al., "A Physiologically-based Model for Simulation of
# Color Vision Deficiency" (2009), severity 1.0.
PROTANOPIA = ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998))
DEUTERANOPIA = ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881))

GRID = 9  # candidate values per color channel
LIGHTNESS = (30, 88)  # range of CIELAB lightness: visible on both dark and white paper
LEAST_CHROMA = 25  # CIELAB chroma; lower values are grays, which mark ignored pixels


def distinct_colors(count: int) -> np.ndarray:
    """Returns colors that differ for normal and for red-green color-blind vision, uint8 ``[count, 3]``.

    The first seven are those of Okabe and Ito. Each further one is the candidate that is farthest from all before it,
    in the vision where it is nearest. After 256 colors, they repeat.

    Example:
      >>> distinct_colors(2).tolist()
      [[230, 159, 0], [86, 180, 233]]
    """
    return _all_colors()[np.arange(count) % 256]


def voc_colors(classes: int) -> np.ndarray:
    """Returns PASCAL VOC's colors, uint8 ``[classes, 3]``: bits of a number go to red, green and blue in turn.

    Example:
      >>> voc_colors(3).tolist()
      [[0, 0, 0], [128, 0, 0], [0, 128, 0]]
    """
    bits = np.arange(classes, dtype=np.uint8)[:, None] >> np.arange(3, dtype=np.uint8)
    palette = np.zeros((classes, 3), np.uint8)
    for turn in range(3):
        palette |= (bits >> 3 * turn & 1) << 7 - turn
    return palette


@lru_cache(1)
def _all_colors() -> np.ndarray:
    levels = np.rint(np.linspace(0, 255, GRID)).astype(np.uint8)
    candidates = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = to_lab(candidates)
    visible = (lab[:, 0] >= LIGHTNESS[0]) & (lab[:, 0] <= LIGHTNESS[1]) & (np.hypot(*lab.T[1:]) >= LEAST_CHROMA)
    colors = np.concatenate([np.array(OKABE_ITO, np.uint8), candidates[visible]])
    seen = seen_colors(colors)
    chosen = list(range(len(OKABE_ITO)))
    nearest = np.min([_distance(seen, index) for index in chosen], axis=0)
    while len(chosen) < 256:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distance(seen, chosen[-1]))
    return colors[chosen]


def seen_colors(colors: np.ndarray) -> np.ndarray:
    """Converts uint8 ``[n, 3]`` to CIELAB as seen with normal vision, protanopia and deuteranopia: ``[3, n, 3]``."""
    scaled = colors / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    simulated = np.stack([linear @ np.array(matrix).T for matrix in (PROTANOPIA, DEUTERANOPIA)]).clip(0, 1)
    encoded = np.where(simulated <= 0.0031308, simulated * 12.92, 1.055 * simulated ** (1 / 2.4) - 0.055)
    return np.stack([to_lab(colors), *(to_lab(np.rint(one * 255).astype(np.uint8)) for one in encoded)])


def to_lab(colors: np.ndarray) -> np.ndarray:
    """Converts sRGB, uint8 ``[n, 3]``, to CIELAB, float32 ``[n, 3]``; a distance of 2 is just visible."""
    return cv2.cvtColor((colors / np.float32(255)).astype(np.float32)[None], cv2.COLOR_RGB2LAB)[0]


def _distance(seen: np.ndarray, index: int) -> np.ndarray:
    return np.linalg.norm(seen - seen[:, index, None], axis=-1).min(axis=0)
