"""The page of `jaxseg serve` in a headless Chromium: drop, threshold, classes, errors, downloads."""

import base64
import json
import re
import time

import cv2
import numpy as np
import pytest
from browser_session import open_page
from PIL import Image
from served import serve_in_thread
from test_server import NAMES, BrightPredictor, encoded, server_app
from test_tiles import Brightness, trained_model

from jaxseg.inference import Predictor
from jaxseg.inference.results import InstanceResult
from jaxseg.inference.server import Limits

pytestmark = pytest.mark.slow
COLORED = "Number(canvas.dataset.colored)"


class HalfSurePredictor(BrightPredictor):
    """Marks bright pixels as bright; it is sure of their upper half only."""

    def engine(self, **options):
        engine = super().engine(**options)

        def finish(prepared, pending):
            result = engine.finish(prepared, pending)
            result.confidence[:] = 255
            result.confidence[prepared.image.shape[0] // 2 :] = 128
            return result

        return engine._replace(finish=finish)


class TwoObjectsPredictor(BrightPredictor):
    """Finds a sure and an unsure object of 10x10 pixels side by side in every image."""

    task, class_names = "instances", ("background", "cat", "dog")

    def engine(self, **options):
        def finish(prepared, pending):
            boxes, masks = np.float32([[5, 5, 15, 15], [20, 5, 30, 15]]), np.ones((2, 28, 28), np.float32)
            return InstanceResult(
                prepared.image, boxes, np.float32([0.9, 0.4]), np.array([1, 2]), masks, self.class_names
            )

        return super().engine(**options)._replace(finish=finish)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """An open page, and the folder of its downloads."""
    folder = tmp_path_factory.mktemp("downloads")
    examples = [np.full((10, 10, 3), 255, np.uint8)]
    app = server_app.make_app(HalfSurePredictor(), examples=examples, warm_up=True)
    with serve_in_thread(app) as (host, port), open_page(f"http://{host}:{port}/", folder) as session:
        session.wait("document.querySelectorAll('#examples img').length === 1")
        yield session, folder


@pytest.fixture
def dropped(page, tmp_path):
    """A page on which a photograph of 40x20 pixels was dropped: black on the left, white on the right."""
    session, folder = page
    path = tmp_path / "photograph.png"
    path.write_bytes(encoded(20, 40))
    session.run("find('threshold').value = 0; state.hidden.clear(); delete canvas.dataset.colored; undefined")
    session.drop_file(path, "#drop")
    session.wait("canvas.dataset.colored")
    return session, folder


def download(session, folder, button, name):
    """Presses a button and returns the path of what it downloads."""
    session.run(f"find('{button}').click()")
    deadline = time.monotonic() + 20
    while not (folder / name).exists():
        assert time.monotonic() < deadline, f"{name} was not downloaded"
        time.sleep(0.05)
    return (folder / name).rename(folder / f"{button}_{time.monotonic_ns()}.{name.split('.')[-1]}")


def test_a_dropped_photograph_is_shown_with_its_mask_and_its_classes(dropped):
    session, _ = dropped
    assert session.run(COLORED) == 400  # White pixels; the background has no color.
    pixel = "[...context.getImageData(%d, 10, 1, 1).data].slice(0, 3)"
    assert session.run(pixel % 5) == [0, 0, 0]
    assert session.run(pixel % 30) == [255, 115, 115]  # White under red of 55 %.
    rows = session.run("[...document.querySelectorAll('#classes tr')].map(row => row.innerText)")
    assert [row.split() for row in rows] == [["background", "50.0", "%", "75", "%"], ["bright", "50.0", "%", "75", "%"]]
    assert "bright 50.0 %" in session.run("canvas.getAttribute('aria-label')")


def test_the_threshold_hides_unsure_pixels_and_is_moved_by_keys(dropped):
    session, folder = dropped
    session.run("find('threshold').focus()")
    session.press("End", 35)
    session.wait("find('threshold-value').textContent === '100 %'")
    session.wait(f"{COLORED} === 200")
    mask = np.asarray(Image.open(download(session, folder, "save-mask", "mask.png")).convert("L"))
    expected = np.full((20, 40), 255)
    expected[:10] = np.arange(40) >= 20
    np.testing.assert_array_equal(mask, expected)


def test_a_class_can_be_hidden(dropped):
    session, _ = dropped
    session.run("document.querySelector('#classes input[data-number=\"1\"]').click()")
    assert session.run(COLORED) == 0


def test_mask_overlay_and_json_are_downloaded(dropped):
    session, folder = dropped
    mask = np.asarray(Image.open(download(session, folder, "save-mask", "mask.png")).convert("L"))
    np.testing.assert_array_equal(mask, np.broadcast_to(np.arange(40) >= 20, (20, 40)))
    overlay = np.asarray(Image.open(download(session, folder, "save-overlay", "overlay.png")).convert("RGB"))
    assert overlay.shape == (20, 40, 3)
    assert overlay[10, 30].tolist() == [255, 115, 115]
    answer = json.loads(download(session, folder, "save-json", "prediction.json").read_text())
    assert [one["name"] for one in answer["classes"]] == list(NAMES)


def test_flips_are_compared_with_the_plain_prediction(dropped):
    session, _ = dropped
    session.run("find('flips').click()")
    session.wait("!find('compare').disabled")
    assert session.run("find('difference').textContent") == "The two differ in 0.00 % of the pixels."
    session.run("find('compare').click()")
    assert session.run("find('compare').textContent") == "Show with flips and tiles"
    session.run("find('flips').click()")
    session.wait("find('compare').disabled")


def test_a_large_photograph_is_predicted_in_tiles(tmp_path):
    """A bright disc on 6000x4000 pixels: seen as a whole, the model gets 40x60 of them; tiles are exact."""
    photograph = cv2.circle(np.zeros((4000, 6000, 3), np.uint8), (2600, 1900), 1500, (255, 255, 255), -1)
    cv2.imwrite(str(tmp_path / "photograph.png"), photograph)
    bright = int((photograph[..., 0] > 0).sum())
    model = trained_model(Brightness(), classes=2, data__image_size=(40, 60))
    model = model._replace(class_names=("background", "disc"), palette=np.array([[0, 0, 0], [255, 0, 0]], np.uint8))
    with (
        serve_in_thread(server_app.make_app(Predictor(model), Limits(seconds=300))) as (host, port),
        open_page(f"http://{host}:{port}/", tmp_path) as session,
    ):
        session.wait("info.can_vary")
        session.run("find('tile').value = '1024'; find('threshold').value = 0; undefined")
        session.drop_file(tmp_path / "photograph.png", "#drop")
        session.wait("canvas.dataset.colored && find('status').textContent.startsWith('6000 x 4000 pixels')", 240)
        assert session.run("[canvas.width, canvas.height]") == [6000, 4000]
        assert session.run(COLORED) == bright
        differing = float(re.search(r"differ in ([0-9.]+) %", session.run("find('difference').textContent"))[1])
        assert 0 < differing < 1
        session.run("find('compare').click()")
        assert session.run(COLORED) != bright, "the plain prediction"
        session.run("find('compare').click()")
        mask = np.asarray(Image.open(download(session, tmp_path, "save-mask", "mask.png")).convert("L"))
        np.testing.assert_array_equal(mask, photograph[..., 0] // 255)
        # A slider that moves ten times draws once.
        session.run("var count = 0, put = context.putImageData; undefined")
        session.run("context.putImageData = (...of) => { count++; put.apply(context, of); }; undefined")
        session.run("for (let i = 0; i < 10; i++) find('opacity').oninput(); undefined")
        session.wait("count")
        assert session.run("new Promise(done => setTimeout(() => done(count), 300))") == 1


def test_a_broken_file_is_an_error_in_words_and_an_example_is_answered_after_it(page, tmp_path):
    session, _ = page
    path = tmp_path / "broken.png"
    path.write_bytes(b"not a picture")
    session.drop_file(path, "#drop")
    session.wait("find('status').className === 'error'")
    assert "cannot be read as an image" in session.run("find('status').textContent")
    session.run("document.querySelector('#examples button').click()")
    session.wait("find('status').textContent.startsWith('10 x 10 pixels')")
    assert session.run(COLORED) == 100


def test_a_pasted_picture_is_answered(page):
    session, _ = page
    content = base64.b64encode(encoded(6, 8)).decode()
    session.run(
        "{ const data = new DataTransfer(), bytes = Uint8Array.from(atob('" + content + "'), one => one.charCodeAt(0));"
        "data.items.add(new File([bytes], 'picture.png', { type: 'image/png' }));"
        "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data })); }"
    )
    session.wait("find('status').textContent.startsWith('8 x 6 pixels')")


def test_objects_are_listed_and_thinned_out_by_the_threshold(tmp_path):
    path = tmp_path / "photograph.png"
    path.write_bytes(encoded(20, 40))
    with (
        serve_in_thread(server_app.make_app(TwoObjectsPredictor())) as (host, port),
        open_page(f"http://{host}:{port}/", tmp_path) as session,
    ):
        session.wait("info.task === 'instances'")
        assert session.run("find('about').textContent").startswith("Objects: cat, dog. Images")
        session.drop_file(path, "#drop")
        session.wait("canvas.dataset.colored")
        rows = "[...document.querySelectorAll('#classes tr')].map(row => row.innerText.split(/\\s+/).join(' '))"
        colored, empty = session.run(COLORED), "getComputedStyle(find('no-classes')).display"
        assert colored == 144, "the mask reaches a pixel beyond its box, as torchvision pastes it"
        assert (session.run(rows), session.run(empty)) == (["cat 1 90 %"], "none")
        assert session.run("canvas.width") == 800, "small photographs are enlarged for the names"
        session.run("find('threshold').value = 0.3; draw()")
        assert session.run(COLORED) == 2 * colored
        assert session.run(rows) == ["cat 1 90 %", "dog 1 40 %"]
        assert session.run("canvas.getAttribute('aria-label')").endswith("1 x cat, 1 x dog.")
        session.run("find('threshold').value = 0.95; draw()")
        assert session.run(COLORED) == 0
        assert session.run(f"{empty} + find('no-classes').textContent") == "blockNo object reaches the threshold."
        mask = np.asarray(Image.open(download(session, tmp_path, "save-mask", "mask.png")).convert("L"))
        assert (mask.shape, mask.max()) == ((20, 40), 0), "a mask has the size of the photograph"


def test_the_page_fits_a_phone(page):
    session, _ = page
    session.resize(390, 844, touch=True)
    assert session.run("document.documentElement.scrollWidth") == 390
    session.resize(1200, 900)
