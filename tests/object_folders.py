"""Writes the same images and objects in every format in which people have them."""

import base64
import io
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

CLASS_NAMES = ("background", "disc", "square")
SIZE = (48, 64)  # height, width


def draw_images(count):
    """Returns (name, image, [(class, polygon)]) of so many images; objects do not overlap."""
    drawn = []
    for number in range(count):
        rng = np.random.default_rng(number)
        image = rng.integers(90, 100, (*SIZE, 3), np.uint8)
        objects = []
        for place in range(int(rng.integers(1, 4))):
            left, top = 20 * place + int(rng.integers(2, 6)), int(rng.integers(4, 26))
            side, kind = int(rng.integers(9, 15)), int(rng.integers(1, 3))
            angles = np.arange(12) / 12 * 2 * np.pi
            disc = np.rint(
                np.stack([np.cos(angles), np.sin(angles)], axis=1) * side / 2 + [left + side / 2, top + side / 2]
            )
            square = np.array([[left, top], [left + side, top], [left + side, top + side], [left, top + side]])
            polygon = (disc if kind == 1 else square).astype(int)
            cv2.fillPoly(image, [polygon.astype(np.int32)], (230, 80, 40) if kind == 1 else (40, 90, 240))
            objects.append((kind, polygon))
        drawn.append((f"image {number}", image, objects))
    return drawn


def mask_of(polygon):
    """The mask of a polygon, as pycocotools draws it: bool ``[h, w]``."""
    from jaxseg.data.coco import rle

    return rle.decode([rle.encode_segmentation([polygon.ravel().tolist()], SIZE)], SIZE)[0]


def save_image(path, image):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


def split_of(drawn):
    """Train and val by name: every fourth image is for validation."""
    return {"train": [one for i, one in enumerate(drawn) if i % 4], "val": drawn[::4]}


def coco_content(drawn, folder="", **fields):
    """The content of a COCO file."""
    images, annotations = [], []
    for number, (name, _, objects) in enumerate(drawn, start=1):
        images.append({"id": number, "file_name": f"{folder}{name}.jpg", "height": SIZE[0], "width": SIZE[1]})
        for kind, polygon in objects:
            (x1, y1), (x2, y2) = polygon.min(axis=0), polygon.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": kind,
                    "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                    "area": float(mask_of(polygon).sum()),
                    "iscrowd": 0,
                    "segmentation": [polygon.ravel().astype(float).tolist()],
                }
                | fields
            )
    categories = [{"id": i, "name": name, "supercategory": "shapes"} for i, name in enumerate(CLASS_NAMES) if i]
    return {"images": images, "annotations": annotations, "categories": categories}


def write_json(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))


def write_roboflow(folder, drawn):
    """A folder per split with its images and annotations; a root category without objects."""
    for split, part in split_of(drawn).items():
        own = folder / {"val": "valid"}.get(split, split)
        content = coco_content(part)
        content["categories"].insert(0, {"id": 0, "name": "shapes", "supercategory": "none"})
        write_json(own / "_annotations.coco.json", content)
        for name, image, _ in part:
            save_image(own / f"{name}.jpg", image)


def write_cvat_coco(folder, drawn):
    """One file; the mask of each first object was drawn by brush."""
    from jaxseg.data.coco import rle

    content = coco_content(drawn, attributes={"occluded": False})
    for entry in content["annotations"][::3]:
        polygon = np.array(entry["segmentation"][0]).reshape(-1, 2)
        (code,) = rle.encode(mask_of(polygon)[None])
        entry |= {
            "iscrowd": 1,
            "segmentation": {"size": list(SIZE), "counts": rle.run_lengths(code["counts"]).tolist()},
        }
        content["annotations"][entry["id"] - 1] = entry
    write_json(folder / "annotations/instances_default.json", content)
    for name, image, _ in drawn:
        save_image(folder / f"images/default/{name}.jpg", image)


def write_label_studio(folder, drawn):
    """result.json with file names of another machine."""
    write_json(folder / "result.json", coco_content(drawn, "..\\..\\label-studio\\data\\media/upload\\1\\"))
    for name, image, _ in drawn:
        save_image(folder / f"images/{name}.jpg", image)


def write_yolo(folder, drawn):
    """data.yaml, images and labels per split; one label file is missing and one is empty."""
    (folder / "labels").mkdir(parents=True)
    names = "\n".join(f"  {i - 1}: {name}" for i, name in enumerate(CLASS_NAMES) if i)
    (folder / "data.yaml").write_text(f"train: ../images/train\nval: ../images/val\nnc: 2\nnames:\n{names}\n")
    for split, part in split_of(drawn).items():
        for name, image, objects in part:
            save_image(folder / f"images/{split}/{name}.jpg", image)
            lines = [
                f"{kind - 1} " + " ".join(f"{x / SIZE[1]:.6f} {y / SIZE[0]:.6f}" for x, y in polygon)
                for kind, polygon in objects
            ]
            path = folder / f"labels/{split}/{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


def write_labelme(folder, drawn):
    """A JSON file beside each image; squares as rectangles."""
    for name, image, objects in drawn:
        save_image(folder / f"{name}.jpg", image)
        shapes = []
        for kind, polygon in objects:
            points = polygon.tolist() if kind == 1 else [polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()]
            kind_of_shape = "polygon" if kind == 1 else "rectangle"
            shapes.append({"label": CLASS_NAMES[kind], "points": points, "group_id": None, "shape_type": kind_of_shape})
        content = {"version": "5.2", "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        write_json(folder / f"{name}.json", content | {"imageHeight": SIZE[0], "imageWidth": SIZE[1]})


def write_cvat(folder, drawn):
    """annotations.xml; the mask of each first object was drawn by brush."""
    lines = ["<?xml version='1.0' encoding='utf-8'?>", "<annotations>", "<meta><job><labels>"]
    lines += [f"<label><name>{name}</name></label>" for name in CLASS_NAMES[1:]]
    lines += ["</labels></job></meta>"]
    for number, (name, image, objects) in enumerate(drawn):
        save_image(folder / f"images/{name}.jpg", image)
        lines.append(f'<image id="{number}" name="{name}.jpg" width="{SIZE[1]}" height="{SIZE[0]}">')
        for place, (kind, polygon) in enumerate(objects):
            lines.append(_cvat_mask(kind, polygon) if place == 0 else _cvat_polygon(kind, polygon))
        lines.append("</image>")
    (folder / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]))


def _cvat_polygon(kind, polygon):
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
    return f'<polygon label="{CLASS_NAMES[kind]}" source="manual" occluded="0" points="{points}" z_order="0"></polygon>'


def _cvat_mask(kind, polygon):
    mask = mask_of(polygon)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    part = mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].ravel()
    bounds = np.flatnonzero(np.diff(part)) + 1
    lengths = np.diff([0, *bounds, part.size]).tolist()
    runs = ", ".join(map(str, ([0] if part[0] else []) + lengths))
    place = f'left="{columns[0]}" top="{rows[0]}" width="{np.ptp(columns) + 1}" height="{np.ptp(rows) + 1}"'
    return f'<mask label="{CLASS_NAMES[kind]}" source="manual" occluded="0" rle="{runs}" {place} z_order="0"></mask>'


def write_voc(folder, drawn):
    """PASCAL VOC with classes in labels.txt."""
    palette = np.random.default_rng(0).integers(0, 256, (256, 3))
    palette[0] = 0
    for name, image, objects in drawn:
        save_image(folder / f"JPEGImages/{name}.jpg", image)
        classes, numbers = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
        for number, (kind, polygon) in enumerate(objects, start=1):
            mask = mask_of(polygon) != 0
            classes[mask], numbers[mask] = kind, number
        for part, values in (("SegmentationClass", classes), ("SegmentationObject", numbers)):
            (folder / part).mkdir(exist_ok=True)
            indexed = Image.fromarray(values)
            indexed.putpalette(palette.astype(np.uint8).ravel().tolist())
            indexed.save(folder / part / f"{name}.png")
    (folder / "labels.txt").write_text("\n".join(CLASS_NAMES))
    lists = folder / "ImageSets/Segmentation"
    lists.mkdir(parents=True)
    for split, part in split_of(drawn).items():
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name, _, _ in part))


def labelme_mask(polygon):
    """A LabelMe shape of the kind "mask"."""
    mask = mask_of(polygon)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    buffer = io.BytesIO()
    Image.fromarray(mask[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1] * 255).save(buffer, "PNG")
    corners = [[int(columns[0]), int(rows[0])], [int(columns[-1]), int(rows[-1])]]
    return {"shape_type": "mask", "points": corners, "mask": base64.b64encode(buffer.getvalue()).decode()}


WRITERS = {
    "coco (Roboflow)": write_roboflow,
    "coco (CVAT)": write_cvat_coco,
    "coco (Label Studio)": write_label_studio,
    "yolo": write_yolo,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "voc_objects": write_voc,
}


def write(kind: str, folder: Path, count: int = 12):
    """Writes so many images in a format and returns them."""
    drawn = draw_images(count)
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[kind](folder, drawn)
    return drawn
