"""The page of a report, from numbers made up by hand."""

import csv

import numpy as np
import pytest
from browser import run_browser
from PIL import Image

from jaxseg.metrics.calibration import calibration, sum_cases
from jaxseg.metrics.details import Curve, Details, ImageScore
from jaxseg.reporting.report import make_page, write_report
from jaxseg.reporting.report_parts import Example, Facts

NAMES = ("background", "cat <b>", "Straße")
PALETTE = np.array([[0, 0, 0], [230, 159, 0], [86, 180, 233]], np.uint8)
LINES = [{"step": step, "split": "train", "loss": 2 / step} for step in range(1, 41)]
LINES += [{"step": step, "split": "val", "loss": 0.5, "mean_iou": step / 100} for step in (20, 40)]


def facts(**changes):
    """What is said about a run of three images."""
    return Facts(
        title="run: unet on shapes",
        split="val",
        step=40,
        summary={"val mean iou": "0.400"},
        page="unet_shapes",
        differences=[("seed", 0, 7)],
        config={"seed": 7, "task": "semantic"},
        machine={"device": "a device", "jax": "0.10"},
        class_names=NAMES,
        palette=PALETTE,
        names=["a", "b", "c"],
        files=["../data/a b.jpg", "", "../data/c.jpg"],
    )._replace(**changes)


def semantic_details():
    return Details(
        ranked_by="mean IoU of the image",
        images=[ImageScore(i, i / 4, {"mean_iou": i / 4, "iou cat": None}) for i in range(3)],
        calibration=calibration(sum_cases([0.9, 0.6], [True, False])),
        calibrated="pixels",
        confusion=np.array([[8, 2, 0], [1, 3, 0], [0, 0, 4]]),
    )


def detector_details():
    return Details(
        ranked_by="F1",
        images=[ImageScore(0, 0.5, {"f1": 0.5})],
        calibration=None,
        calibrated="detections",
        curves=[Curve("segm", {0.5: np.linspace(1, 0, 101), 0.75: np.linspace(0.8, 0, 101)})],
        errors={"segm": {"classification": 0.04, "missed": 0.12}},
    )


def example(index):
    panels = [np.full((30, 40, 3), 60 * number, np.uint8) for number in range(4)]
    return Example("abc"[index], facts().files[index], index / 4, panels)


def test_numbers_names_and_files_are_in_the_page():
    scores = {"val": {"loss": 0.123456789, "mean_iou": 0.4, "iou": [0.5, None, 0.25]}}
    page = make_page(facts(), LINES, scores, semantic_details(), {"worst": [example(0), example(1)], "best": []})
    assert 'data-value="0.123456789"' in page
    assert "cat &lt;b&gt;" in page
    assert "<b>" not in page.replace("<b>0.400</b>", "")
    assert 'href="../data/a%20b.jpg"' in page
    assert page.count("data:image/jpeg;base64,") == 8
    assert "80.0%" in page, "8 of 10 pixels of the background"
    assert page.count("<polyline") == 4
    assert "wrong pixels are hatched" in page
    for outside in ("http://", "https://", 'src="/', "<script", "@import", "url("):
        assert outside not in page


def test_a_detector_has_curves_and_what_errors_cost():
    scores = {"val": {"segm_AP": 0.5, "segm_AP_small": None, "segm_AP_by_class": [None, 0.5, 0.25]}}
    page = make_page(facts(), [], scores, detector_details(), {})
    assert "IoU 0.5, mean precision 0.500" in page
    assert ">12<" in page, "12 points of AP50 for missed objects"
    assert "<th>score</th><th>val bbox</th><th>val segm</th>" in page
    assert '<td class="text">AP</td><td>–</td><td data-value="0.5">0.5000</td>' in page
    assert 'id="confusion"' not in page
    assert 'id="calibration"' not in page
    assert 'id="examples"' not in page


def test_of_many_classes_the_most_frequent_confusions_are_listed():
    confusion = np.diag(np.full(40, 10))
    confusion[3, 5] = 7
    many = facts(class_names=[f"class {i}" for i in range(40)], palette=np.zeros((40, 3), np.uint8))
    page = make_page(many, LINES, {"val": {}}, semantic_details()._replace(confusion=confusion), {})
    row = '<td class="text">class 3</td><td class="text">class 5</td><td data-value="7">7</td>'
    assert row in page
    assert page.count("class 5</td>") == 1


def test_tables_for_programs(tmp_path):
    write_report(tmp_path, facts(), LINES, {"val": {}}, semantic_details(), {})
    rows = list(csv.reader((tmp_path / "per_image.csv").read_text(encoding="utf-8").splitlines()))
    assert rows == [
        ["image", "file", "mean_iou", "iou cat"],
        ["a", "../data/a b.jpg", "0.0", ""],
        ["b", "", "0.25", ""],
        ["c", "../data/c.jpg", "0.5", ""],
    ]
    rows = list(csv.reader((tmp_path / "confusion_matrix.csv").read_text(encoding="utf-8").splitlines()))
    assert rows[:2] == [["truth", *NAMES], ["background", "8", "2", "0"]]


@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (500, True)])
def test_a_browser_shows_the_page_in_light_and_dark_and_on_a_phone(tmp_path, width, dark):
    scores = {"val": {"mean_iou": 0.4, "iou": [0.5, None, 0.25]}}
    page = write_report(tmp_path, facts(), LINES, scores, semantic_details(), {"worst": [example(0)]})
    run_browser(page, f"--screenshot={tmp_path / 'page.png'}", dark=dark, width=width)
    pixels = np.asarray(Image.open(tmp_path / "page.png").convert("RGB"))
    assert pixels.shape[1] == width
    assert (pixels[5, 5].mean() < 60) == dark
    assert pixels.std() > 5
    # A script added for the test says how wide the content is: nothing sticks out on a phone.
    measured = tmp_path / "measured.html"
    script = "<script>document.title = document.documentElement.scrollWidth + ' of ' + innerWidth</script>"
    measured.write_text(page.read_text(encoding="utf-8").replace("</body>", f"{script}</body>"), encoding="utf-8")
    title = run_browser(measured, "--dump-dom", width=width).split("<title>")[1].split("</title>")[0]
    content, window = map(int, title.split(" of "))
    assert content <= window
