"""What both kinds of result have in common: names, pictures and files."""

import pathlib

import cv2
import numpy as np
from PIL import Image

from jaxseg.inference.mask_files import write_mask
from jaxseg.reporting import pictures

NOTEBOOK_SIDE = 1024  # Longer side of the picture in a notebook, in pixels.


class ImageResult:
    """The base of both kinds of result, with what they have in common."""

    image: np.ndarray
    mask: np.ndarray
    path: str | None

    @property
    def size(self) -> tuple[int, int]:
        """Returns height and width of the image."""
        return self.image.shape[:2]

    @property
    def name(self) -> str:
        """Returns the stem of the image's file, or "image" for an array."""
        return pathlib.Path(self.path).stem if self.path else "image"

    @property
    def mask_palette(self) -> np.ndarray:
        """Returns the colors of a mask file, uint8 ``[n, 3]``."""
        raise NotImplementedError

    def overlay(self) -> np.ndarray:
        """Draws the result over the image, uint8 ``[h, w, 3]``."""
        raise NotImplementedError

    def picture(self) -> np.ndarray:
        """Draws the overlay for people, with a legend below it if there are classes, uint8 ``[h', w, 3]``."""
        return self.overlay()

    def show(self) -> None:
        """Opens the overlay in the system's image viewer; a notebook shows a result that ends a cell."""
        Image.fromarray(self.picture()).show()

    def save(
        self, folder: str | pathlib.Path, name: str | None = None, overlay: bool = True
    ) -> dict[str, pathlib.Path]:
        """Writes ``NAME_mask.png``, or ``.tif`` for huge images, and ``NAME_overlay.png``.

        Args:
          folder: is made if it does not exist.
          name: the first part of the file names; None uses ``self.name``.
          overlay: whether the overlay is written.

        Returns:
          The paths that were written, by what they show.
        """
        folder = pathlib.Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        name = name or self.name
        paths = {"mask": write_mask(folder / f"{name}_mask.png", self.mask, self.mask_palette)}
        if overlay:
            paths["overlay"] = folder / f"{name}_overlay.png"
            pictures.write(paths["overlay"], self.picture())
        return paths

    def _repr_png_(self) -> bytes:
        """Returns the overlay as a PNG, at most 1024 pixels long, for notebooks."""
        picture = self.picture()
        factor = NOTEBOOK_SIDE / max(picture.shape[:2])
        if factor < 1:
            size = tuple(max(1, round(side * factor)) for side in picture.shape[1::-1])
            picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        return cv2.imencode(".png", picture[..., ::-1])[1].tobytes()
