"""The report of a run holds the numbers of metrics.jsonl."""

import csv
import html
import json

import numpy as np
import pytest
from experiments import tiny_config
from report_tables import Tables

from jaxseg.evaluate import evaluate
from jaxseg.inference.run_report import nearest_page
from jaxseg.reporting.html import relative_path
from jaxseg.reporting.log import computed_lines
from jaxseg.run.goodput import describe_shares
from jaxseg.run.sessions import Session, read_sessions
from jaxseg.run.workdir import flatten


def test_the_numbers_are_those_of_metrics_jsonl(trained):
    folder, _ = trained
    line = computed_lines(folder / "metrics.jsonl")[-1]
    tables = Tables((folder / "report.html").read_text(encoding="utf-8")).tables
    shown = {row[0]: row[1] for row in tables["table-scores"] if row}
    expected = {name: value for name, value in line.items() if isinstance(value, float)}
    assert shown == expected
    per_class = [row[1] for row in tables["table-classes"] if row]
    assert per_class == [value for value in line["iou"] if value is not None]


def test_the_tables_beside_it_add_up_to_the_scores(trained):
    folder, _ = trained
    line = computed_lines(folder / "metrics.jsonl")[-1]
    rows = list(csv.reader((folder / "confusion_matrix.csv").read_text(encoding="utf-8").splitlines()))
    confusion = np.array([row[1:] for row in rows[1:]], np.int64)
    assert confusion.sum() == 200 * 32 * 32
    assert np.trace(confusion) / confusion.sum() == line["pixel_accuracy"]
    images = list(csv.DictReader((folder / "per_image.csv").read_text(encoding="utf-8").splitlines()))
    assert len(images) == 200
    # All images have the same number of labeled pixels.
    np.testing.assert_allclose(np.mean([float(one["pixel_accuracy"]) for one in images]), line["pixel_accuracy"])


def test_evaluation_writes_the_same_report_where_asked(trained, tmp_path):
    import shutil

    folder = shutil.copytree(trained[0], tmp_path / "run")
    before = {name: (folder / name).read_bytes() for name in ("per_image.csv", "confusion_matrix.csv")}
    for name in (*before, "report.html"):
        (folder / name).unlink()
    evaluate(tiny_config(), folder, "latest")
    assert not (folder / "report.html").exists(), "nobody asked for it"
    evaluate(tiny_config(), folder, "latest", report=True)
    assert {name: (folder / name).read_bytes() for name in before} == before
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg") == 36 * 4


def test_what_the_run_has_cost_is_in_the_page(trained):
    """Time, speed, memory, device and versions are those that the run has noted."""
    folder, _ = trained
    page, session = (folder / "report.html").read_text(encoding="utf-8"), read_sessions(folder)[0]
    facts = (session["devices"], session["peak_memory"], session["versions"]["jax"])
    for said in (*facts, describe_shares(session["goodput"]), f"{session['compile_seconds']:.0f} s", "batches of 8"):
        assert html.escape(str(said)) in page, said
    if session["images_per_second"]:
        assert f"{session['images_per_second']:.1f} images/s" in page


def test_sessions_add_up(trained, tmp_path):
    session, *_ = read_sessions(trained[0])  # evaluations of the shared run may follow
    assert (session["first_step"], session["last_step"]) == (0, 4)
    assert session["seconds"] > 0
    assert {"jaxseg", "jax", "numpy", "python"} <= session["versions"].keys()
    for first in (0, 4):
        Session(tmp_path, first, writes=True).save(last_step=first + 4)
    assert [one["first_step"] for one in read_sessions(tmp_path)] == [0, 4]
    Session(tmp_path / "other", 0, writes=False).save()
    assert read_sessions(tmp_path / "other") == []
    (tmp_path / "sessions.json").write_text("[{")
    assert read_sessions(tmp_path) == []


@pytest.mark.parametrize("page", ["unet_pets", "mask_rcnn_coco"])
def test_the_page_of_a_run_is_found_with_what_differs(page):
    from jaxseg.config import load

    config = load(page)
    config.seed = 77
    config = flatten(json.loads(config.to_json()))
    assert nearest_page(config) == (page, [("seed", 0, 77)])


def test_links_are_relative_to_the_report(tmp_path):
    assert relative_path(str(tmp_path / "data/a.jpg"), tmp_path / "runs/one") == "../../data/a.jpg"
