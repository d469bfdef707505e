"""Prepares compact copies of the real data sets, small enough to travel to a borrowed GPU machine.

    python launch/gpu_data.py --source ../shared/data --output .gpu_data

Images are resized and encoded again as JPEG; folders keep the layouts that the data sources read. With the defaults the
result has 36 MB. The data sets are written in order of value: pets, CamVid, ISBI 2012, COCO. A data set that is
missing in the source folder is left out.
"""

import argparse
import json
import pathlib

from PIL import Image

MEGABYTES = 60  # what may travel to the GPU machine, with the wheels and the source code


def main() -> None:
    """Reads the flags, copies each data set and prints its size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", type=pathlib.Path, required=True, help="Folder with the original data sets.")
    parser.add_argument("--output", type=pathlib.Path, required=True, help="New folder for the compact copies.")
    parser.add_argument("--images", type=int, help="Maximum number of images per split; the default keeps all.")
    parser.add_argument("--quality", type=int, default=75, help="JPEG quality, 75 by default.")
    flags = parser.parse_args()
    if flags.output.exists():
        parser.error(f"--output is {flags.output}; expected a folder that does not exist. Delete it first.")
    for name, copy in DATA_SETS.items():
        if (flags.source / name).is_dir():
            copy(flags.source / name, flags.output / name, flags.images, flags.quality)
            print(f"{name}: {megabytes(flags.output / name):.1f} MB")
    total = megabytes(flags.output)
    print(f"{flags.output}: {total:.1f} MB")
    if total > MEGABYTES:
        parser.exit(1, f"more than {MEGABYTES} MB: lower --quality or --images\n")


def copy_pets(source: pathlib.Path, target: pathlib.Path, count: int | None, quality: int) -> None:
    """Copies Oxford-IIIT Pet in its official layout; the shorter side becomes 320 pixels."""
    (target / "annotations").mkdir(parents=True)
    names = []
    for part in ("trainval", "test"):
        lines = (source / "annotations" / f"{part}.txt").read_text().splitlines()
        lines = [line for line in lines if line and not line.startswith("#")]
        lines = [line for line in lines if (source / "annotations/trimaps" / f"{line.split()[0]}.png").exists()]
        lines = spread(lines, count)
        (target / "annotations" / f"{part}.txt").write_text("\n".join(lines) + "\n")
        names += [line.split()[0] for line in lines]
    for name in names:
        image = Image.open(source / "images" / f"{name}.jpg").convert("RGB")
        trimap = Image.open(source / "annotations/trimaps" / f"{name}.png")
        scale = min(1.0, 320 / min(image.size))
        size = [round(side * scale) for side in image.size]
        save_jpeg(image.resize(size, Image.Resampling.LANCZOS), target / "images" / f"{name}.jpg", quality)
        save_png(trimap.resize(size, Image.Resampling.NEAREST), target / "annotations/trimaps" / f"{name}.png")


def copy_camvid(source: pathlib.Path, target: pathlib.Path, count: int | None, quality: int) -> None:
    """Copies the frames and label maps of CamVid in their original size."""
    for part in ("train", "val"):
        for path in spread(sorted((source / part).iterdir()), count):
            save_jpeg(Image.open(path).convert("RGB"), target / part / f"{path.stem}.jpg", quality)
            label = source / f"{part}annot" / f"{path.stem}.png"
            save_png(Image.open(label), target / f"{part}annot" / label.name)


def copy_isbi(source: pathlib.Path, target: pathlib.Path, count: int | None, quality: int) -> None:
    """Copies the slices of ISBI 2012 in their original size; their fine texture needs a higher quality."""
    for path in spread(sorted((source / "image").iterdir(), key=lambda path: int(path.stem)), count):
        save_jpeg(Image.open(path).convert("L"), target / "image" / f"{path.stem}.jpg", max(quality, 90))
        save_png(Image.open(source / "label" / path.name), target / "label" / path.name)


def copy_coco(source: pathlib.Path, target: pathlib.Path, count: int | None, quality: int) -> None:
    """Copies the first validation images of COCO, 48 by default, with their annotations."""
    file = json.loads((source / "annotations/instances_val2017.json").read_text())
    file["images"] = file["images"][: count or 48]
    kept = {image["id"] for image in file["images"]}
    file["annotations"] = [entry for entry in file["annotations"] if entry["image_id"] in kept]
    (target / "annotations").mkdir(parents=True)
    (target / "annotations/instances_val2017.json").write_text(json.dumps(file))
    for image in file["images"]:
        name = image["file_name"]
        save_jpeg(Image.open(source / "val2017" / name).convert("RGB"), target / "val2017" / name, quality)


DATA_SETS = {
    "oxford_iiit_pet": copy_pets,
    "camvid": copy_camvid,
    "isbi2012": copy_isbi,
    "coco_tiny": copy_coco,
}


def spread(items: list, count: int | None) -> list:
    """Returns ``count`` items at equal distances; None keeps all."""
    if count is None or count >= len(items):
        return items
    return [items[index * len(items) // count] for index in range(count)]


def save_jpeg(image: Image.Image, path: pathlib.Path, quality: int) -> None:
    """Writes an image as JPEG and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "JPEG", quality=quality, optimize=True)


def save_png(image: Image.Image, path: pathlib.Path) -> None:
    """Writes a label map as PNG, with the values that it has, and makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, "PNG", optimize=True)


def megabytes(folder: pathlib.Path) -> float:
    """Returns the size of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
