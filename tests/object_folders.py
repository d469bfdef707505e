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


def pets(shared, count):
    """The same of small real pets, one object each."""
    drawn = []
    folder = shared / "oxford_iiit_pet"
    for path in sorted((folder / "annotations/trimaps").glob("[!.]*.png"))[:: 600 // count][:count]:
        image = Image.open(folder / "images" / f"{path.stem}.jpg").convert("RGB")
        image.thumbnail((160, 160))
        trimap = np.asarray(Image.open(path).resize(image.size, Image.Resampling.NEAREST))
        outlines, _ = cv2.findContours((trimap != 2).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        drawn.append((f"pet {len(drawn)}", np.asarray(image), [(1, max(outlines, key=cv2.contourArea)[:, 0])]))
    return drawn


def mask_of(polygon, size=SIZE):
    """The mask of a polygon, as pycocotools draws it: bool ``[h, w]``."""
    from jaxseg.data.coco import rle

    return rle.decode([rle.encode_segmentation([polygon.ravel().tolist()], size)], size)[0]


def save_image(path, image, orientation=1):
    """Saves an image, stored as EXIF's orientation says: 1 upright, 3 turned by 180 degrees, 6 and 8 lying."""
    path.parent.mkdir(parents=True, exist_ok=True)
    turns = {1: 0, 3: 2, 6: 1, 8: 3}
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = Image.fromarray(np.ascontiguousarray(np.rot90(image, turns[orientation])))
    stored.save(path, **({"quality": 95, "exif": exif} if path.suffix == ".jpg" else {}))


def orientation_of(name):
    """Real pets have all four orientations of photographs, generated images are upright."""
    return (1, 3, 6, 8)[int(name.split()[1]) % 4] if name.startswith("pet ") else 1


def split_of(drawn):
    """Train and val by name: every fourth image is for validation."""
    return {"train": [one for i, one in enumerate(drawn) if i % 4], "val": drawn[::4]}


def coco_content(drawn, folder="", **fields):
    """The content of a COCO file."""
    images, annotations = [], []
    for number, (name, image, objects) in enumerate(drawn, start=1):
        height, width = image.shape[:2]
        images.append({"id": number, "file_name": f"{folder}{name}.jpg", "height": height, "width": width})
        for kind, polygon in objects:
            (x1, y1), (x2, y2) = polygon.min(axis=0), polygon.max(axis=0)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": kind,
                    "bbox": [float(x1), float(y1), float(x2 - x1), float(y2 - y1)],
                    "area": float(mask_of(polygon, (height, width)).sum()),
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
            save_image(own / f"{name}.jpg", image, orientation_of(name))


def write_cvat_coco(folder, drawn):
    """One file; the mask of each first object was drawn by brush."""
    from jaxseg.data.coco import rle

    content = coco_content(drawn, attributes={"occluded": False})
    sizes = {one["id"]: (one["height"], one["width"]) for one in content["images"]}
    for entry in content["annotations"][::3]:
        polygon = np.array(entry["segmentation"][0]).reshape(-1, 2)
        size = sizes[entry["image_id"]]
        (code,) = rle.encode(mask_of(polygon, size)[None])
        entry |= {
            "iscrowd": 1,
            "segmentation": {"size": list(size), "counts": rle.run_lengths(code["counts"]).tolist()},
        }
        content["annotations"][entry["id"] - 1] = entry
    write_json(folder / "annotations/instances_default.json", content)
    for name, image, _ in drawn:
        save_image(folder / f"images/default/{name}.jpg", image, orientation_of(name))


def write_label_studio(folder, drawn):
    """result.json with file names of another machine."""
    write_json(folder / "result.json", coco_content(drawn, "..\\..\\label-studio\\data\\media/upload\\1\\"))
    for name, image, _ in drawn:
        save_image(folder / f"images/{name}.jpg", image, orientation_of(name))


def write_yolo(folder, drawn):
    """data.yaml, images and labels per split; one label file is missing and one is empty."""
    (folder / "labels").mkdir(parents=True)
    names = "\n".join(f"  {i - 1}: {name}" for i, name in enumerate(CLASS_NAMES) if i)
    (folder / "data.yaml").write_text(f"train: ../images/train\nval: ../images/val\nnc: 2\nnames:\n{names}\n")
    for split, part in split_of(drawn).items():
        for name, image, objects in part:
            save_image(folder / f"images/{split}/{name}.jpg", image, orientation_of(name))
            height, width = image.shape[:2]
            lines = [
                f"{kind - 1} " + " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in polygon)
                for kind, polygon in objects
            ]
            path = folder / f"labels/{split}/{name}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(lines) + "\n")


def write_labelme(folder, drawn):
    """A JSON file beside each image; squares as rectangles."""
    for name, image, objects in drawn:
        save_image(folder / f"{name}.jpg", image, orientation_of(name))
        shapes = []
        for kind, polygon in objects:
            points = polygon.tolist() if kind == 1 else [polygon.min(axis=0).tolist(), polygon.max(axis=0).tolist()]
            kind_of_shape = "polygon" if kind == 1 else "rectangle"
            shapes.append({"label": CLASS_NAMES[kind], "points": points, "group_id": None, "shape_type": kind_of_shape})
        content = {"version": "5.2", "shapes": shapes, "imagePath": f"{name}.jpg", "imageData": None}
        write_json(folder / f"{name}.json", content | {"imageHeight": image.shape[0], "imageWidth": image.shape[1]})


def write_cvat(folder, drawn):
    """annotations.xml; the mask of each first object was drawn by brush."""
    lines = ["<?xml version='1.0' encoding='utf-8'?>", "<annotations>", "<meta><job><labels>"]
    lines += [f"<label><name>{name}</name></label>" for name in CLASS_NAMES[1:]]
    lines += ["</labels></job></meta>"]
    for number, (name, image, objects) in enumerate(drawn):
        save_image(folder / f"images/{name}.jpg", image, orientation_of(name))
        lines.append(f'<image id="{number}" name="{name}.jpg" width="{image.shape[1]}" height="{image.shape[0]}">')
        for place, (kind, polygon) in enumerate(objects):
            lines.append(_cvat_polygon(kind, polygon) if place else _cvat_mask(kind, polygon, image.shape[:2]))
        lines.append("</image>")
    (folder / "annotations.xml").write_text("\n".join([*lines, "</annotations>"]))


def _cvat_polygon(kind, polygon):
    points = ";".join(f"{x:.2f},{y:.2f}" for x, y in polygon)
    return f'<polygon label="{CLASS_NAMES[kind]}" source="manual" occluded="0" points="{points}" z_order="0"></polygon>'


def _cvat_mask(kind, polygon, size):
    mask = mask_of(polygon, size)
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
        save_image(folder / f"JPEGImages/{name}.jpg", image, orientation_of(name))
        classes, numbers = np.zeros(image.shape[:2], np.uint8), np.zeros(image.shape[:2], np.uint8)
        for number, (kind, polygon) in enumerate(objects, start=1):
            mask = mask_of(polygon, image.shape[:2]) != 0
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


def write_instance_masks(folder, drawn):
    """images/ and masks/ with a number per object, 16 bits; class 1 only."""
    for name, image, objects in drawn:
        save_image(folder / f"images/{name}.jpg", image, orientation_of(name))
        numbers = np.zeros(image.shape[:2], np.uint16)
        for place, (_, polygon) in enumerate(objects, start=1):
            numbers[mask_of(polygon, image.shape[:2]) != 0] = place
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(numbers).save(folder / f"masks/{name}.png")


def write_class_masks(folder, drawn):
    """images/, masks/ with a class per pixel, and classes.txt."""
    for name, image, objects in drawn:
        save_image(folder / f"images/{name}.jpg", image, orientation_of(name))
        label = np.zeros(image.shape[:2], np.uint8)
        for kind, polygon in objects:
            label[mask_of(polygon, image.shape[:2]) != 0] = kind
        (folder / "masks").mkdir(exist_ok=True)
        Image.fromarray(label).save(folder / f"masks/{name}.png")
    (folder / "classes.txt").write_text("\n".join(CLASS_NAMES))


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
