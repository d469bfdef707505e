"""Small folders in the layouts in which people have the classic data sets on disk."""

import json

import numpy as np
from PIL import Image

SIZE = (40, 32)  # width, height


def draw(seed, values):
    """An image and a map of blocks of the given values, ``[h, w]``."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (SIZE[1], SIZE[0], 3), np.uint8)
    blocks = rng.choice(np.array(values, np.uint8), (4, 5))
    blocks.ravel()[: len(values)] = values[:20]
    return image, np.kron(blocks, np.ones((8, 8), np.uint8))


def save(path, array, palette=None):
    """Writes an image, its folder and, for an indexed one, its palette."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(array)
    if palette is not None:
        image.putpalette(np.asarray(palette, np.uint8).ravel().tolist())
    image.save(path)
    return array


def voc_palette():
    """The official colors, as the development kit's VOClabelcolormap computes them."""
    palette = np.zeros((256, 3), np.uint8)
    for label in range(256):
        rest = label
        for shift in range(8):
            for channel in range(3):
                palette[label, channel] |= ((rest >> channel) & 1) << (7 - shift)
            rest >>= 3
    return palette


def write_voc(folder, lists):
    """VOCdevkit/VOC2012 with the images of some lists; name -> (image, label)."""
    voc = folder / "VOCdevkit/VOC2012"
    (voc / "ImageSets/Segmentation").mkdir(parents=True)
    drawn = {}
    for which, names in lists.items():
        (voc / f"ImageSets/Segmentation/{which}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            image, label = draw(list(name.encode()), [0, 1, 15, 20, 255])
            save(voc / f"JPEGImages/{name}.jpg", image)
            drawn[name] = image, save(voc / f"SegmentationClass/{name}.png", label, voc_palette())
    return drawn


def write_sbd(folder, lists):
    """benchmark_RELEASE/dataset; name -> label."""
    import scipy.io

    data, drawn = folder / "benchmark_RELEASE/dataset", {}
    (data / "cls").mkdir(parents=True)
    for which, names in lists.items():
        (data / f"{which}.txt").write_text("".join(f"{name}\n" for name in names))
        for name in names:
            image, label = draw([1, *name.encode()], [0, 2, 16])
            save(data / f"img/{name}.jpg", image)
            fields = {"Boundaries": np.zeros((20, 1)), "Segmentation": label, "CategoriesPresent": [[2], [16]]}
            scipy.io.savemat(data / f"cls/{name}.mat", {"GTcls": fields}, do_compression=True)
            drawn[name] = label
    return drawn


def write_cityscapes(folder, images):
    """leftImg8bit and gtFine with all ids; images are (split, city, number); name -> ids."""
    drawn = {}
    for split, city, number in images:
        name = f"{city}_{number:06d}_000019"
        image, _ = draw([number], [0])
        ids = np.arange(SIZE[0] * SIZE[1], dtype=np.int64).reshape(SIZE[::-1]) // 8 % 34
        save(folder / f"leftImg8bit/{split}/{city}/{name}_leftImg8bit.png", image)
        drawn[name] = save(folder / f"gtFine/{split}/{city}/{name}_gtFine_labelIds.png", ids.astype(np.uint8))
        for other in ("color", "instanceIds"):
            save(folder / f"gtFine/{split}/{city}/{name}_gtFine_{other}.png", image)
        (folder / f"gtFine/{split}/{city}/{name}_gtFine_polygons.json").write_text("{}")
    return drawn


def write_camvid(folder, counts):
    """SPLIT/ and SPLITannot/ with so many frames each; name -> (image, values)."""
    drawn = {}
    for split, count in counts.items():
        for number in range(count):
            image, values = draw([number, count], list(range(12)))
            name = f"{split}_{number:06d}"
            save(folder / f"{split}/{name}.png", image)
            drawn[name] = image, save(folder / f"{split}annot/{name}.png", values)
    return drawn


def write_isbi(folder, count=30):
    """image/N.png and label/N.png; the labels in order."""
    labels = []
    for number in range(count):
        image, values = draw([number], [0, 255])
        save(folder / f"image/{number}.png", image[..., 0])
        labels.append(save(folder / f"label/{number}.png", values))
    return labels


def write_folder(folder, names, values=(0, 1, 2, 255), palette=None):
    """images/NAME.jpg and masks/NAME.png; name -> mask."""
    drawn = {}
    for name in names:
        image, mask = draw(list(name.encode()), list(values))
        save(folder / f"images/{name}.jpg", image)
        drawn[name] = save(folder / f"masks/{name}.png", mask, palette)
    return drawn


def write_pets(folder, count):
    """images/NAME.jpg and annotations/trimaps/NAME.png of so many beagles, without the official lists."""
    for number in range(1, count + 1):
        image, trimap = draw([number], [1, 2, 3])
        save(folder / f"images/beagle_{number}.jpg", image)
        save(folder / f"annotations/trimaps/beagle_{number}.png", trimap)


def write_coco(folder, sizes, splits=("train", "val")):
    """SPLIT2017/N.jpg of these sizes (height, width) with overlapping rectangles of COCO's categories and a crowd."""
    from jaxseg.data.coco.classes import CLASS_NAMES, UNUSED

    names = [(number, name) for number, name in enumerate(CLASS_NAMES) if number and name != UNUSED]
    for split in splits:
        images, annotations = [], []
        for number, (height, width) in enumerate(sizes, 1):
            rng = np.random.default_rng([number, len(split)])
            coarse = rng.integers(0, 256, (height // 8 + 2, width // 8 + 2, 3), np.uint8)
            image = np.kron(coarse, np.ones((8, 8, 1), np.uint8))[:height, :width]
            save(folder / f"{split}2017/{number:012d}.jpg", image)
            images.append({"id": number, "file_name": f"{number:012d}.jpg", "height": height, "width": width})
            for category in (1, 17, 62, 10):  # person, cat, chair, and a traffic light, which VOC does not know
                left, top = (float(rng.integers(0, side // 2)) for side in (width, height))
                right, bottom = left + width // 3, top + height // 2
                segmentation = [[left, top, right, top, right, bottom, left, bottom]]
                box = [left, top, right - left, bottom - top]
                area = box[2] * box[3]
                annotations.append({"category_id": category, "segmentation": segmentation, "bbox": box, "area": area})
            crowd = {"size": [height, width], "counts": [0, height * 3, height * (width - 3)]}
            box = [0, 0, 3, height]
            annotations.append({"category_id": 1, "segmentation": crowd, "bbox": box, "area": 3 * height, "iscrowd": 1})
            for one in annotations[-5:]:
                one.update(image_id=number, iscrowd=one.get("iscrowd", 0))
        annotations = [{"id": number, **one} for number, one in enumerate(annotations, 1)]
        categories = [{"id": number, "name": name} for number, name in names]
        file = folder / f"annotations/instances_{split}2017.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
