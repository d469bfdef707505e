"""Folders of one's own with masks, made from the pets: numbers 1 to 6 of the real data's README."""

import numpy as np
from PIL import Image

COUNT = 12
COLORS = np.array([[10, 20, 30], [230, 120, 50], [250, 240, 200]], np.uint8)  # background, pet, border
NAMES = ("ground", "pet", "edge")


def pets(shared, count=COUNT):
    """Yields names, small images and label maps: 0 background, 1 pet, 2 border."""
    folder = shared / "oxford_iiit_pet"
    for path in sorted((folder / "annotations/trimaps").glob("[!.]*.png"))[:count]:
        image = Image.open(folder / "images" / f"{path.stem}.jpg").convert("RGB")
        image.thumbnail((96, 96))
        trimap = np.asarray(Image.open(path).resize(image.size, Image.Resampling.NEAREST))
        yield path.stem, image, np.array([255, 1, 0, 2], np.uint8)[trimap]


def put(image, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)


def three_channels(shared, folder):
    """Number 1: ``images/*.jpg`` and ``masks/*_mask.png`` with three equal channels of 0 and 255."""
    for name, image, label in pets(shared):
        put(image, folder / f"images/{name}.jpg")
        mask = 255 * (label > 0).astype(np.uint8)
        put(Image.fromarray(np.repeat(mask[..., None], 3, axis=-1)), folder / f"masks/{name}_mask.png")
        yield name, (label > 0).astype(np.uint8)


def colors(shared, folder):
    """Number 2: folders of splits, masks in colors, and a list of names and colors."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"{name} {' '.join(map(str, color))}\n" for name, color in zip(NAMES, COLORS, strict=True))
    (folder / "classes.txt").write_text("".join(lines))
    for number, (name, image, label) in enumerate(pets(shared)):
        split = "valid" if number % 4 == 0 else "train"
        put(image, folder / f"{split}/images/{name}.jpg")
        put(Image.fromarray(COLORS[label]), folder / f"{split}/masks/{name}.png")
        yield f"{'val' if split == 'valid' else split}/{name}", label


def phone_photographs(shared, folder):
    """Number 3: EXIF orientations, masks drawn on the upright view, and odd names and endings."""
    turns = Image.Transpose
    stored_from_upright = {1: (), 3: (turns.ROTATE_180,), 6: (turns.ROTATE_90,), 8: (turns.ROTATE_270,)}
    for number, (_, image, label) in enumerate(pets(shared)):
        orientation = (1, 3, 6, 8)[number % 4]
        for operation in stored_from_upright[orientation]:
            image = image.transpose(operation)
        exif = Image.Exif()
        exif[0x0112] = orientation
        name = f"Foto für Oma {number}"
        put(image, folder / f"images/{name}{('.JPG', '.jpeg')[number % 2]}", exif=exif, format="JPEG")
        put(Image.fromarray(255 * (label > 0).astype(np.uint8)), folder / f"masks/{name}.png")
        yield name, (label > 0).astype(np.uint8)


def jpeg_masks(shared, folder):
    """Number 4: black and white masks as JPEG of quality 90."""
    for name, image, label in pets(shared):
        put(image, folder / f"images/{name}.jpg")
        put(Image.fromarray(255 * (label > 0).astype(np.uint8)), folder / f"masks/{name}.jpg", quality=90)
        yield name, (label > 0).astype(np.uint8)


def microscope(shared, folder):
    """Number 5: 16-bit TIFF up to 4095, masks of 1 and 8 bits, a folder per scene, and Thumbs.db."""
    for number, (name, image, label) in enumerate(pets(shared)):
        scene, deep = f"scene {number % 3}", np.asarray(image.convert("L")).astype(np.uint16) * 16
        put(Image.fromarray(deep), folder / f"images/{scene}/{name}.tif")
        mask = Image.fromarray(255 * (label > 0).astype(np.uint8))
        put(mask.convert("1") if number % 2 else mask, folder / f"masks/{scene}/{name}.png")
        (folder / f"images/{scene}/Thumbs.db").write_bytes(b"x")
        yield f"{scene}/{name}", (label > 0).astype(np.uint8)


def palettes(shared, folder):
    """Number 6: indexed masks whose palettes differ from file to file; a third of the images have none."""
    for number, (name, image, label) in enumerate(pets(shared)):
        put(image, folder / f"images/{name}.jpg")
        if number % 3 == 2:
            continue
        order = np.random.default_rng(number).permutation(3)  # the index of each class in this file
        mask = Image.fromarray(order.astype(np.uint8)[label])
        mask.putpalette(COLORS[np.argsort(order)].ravel().tolist())
        put(mask, folder / f"masks/{name}.png")
        yield name, label


FOLDERS = (three_channels, colors, phone_photographs, jpeg_masks, microscope, palettes)
