"""The server: answers, limits, bad uploads, a full queue, timeouts and batches."""

import base64
import io
import threading
import time
import types

import ml_collections
import numpy as np
import pytest
from PIL import Image

from jaxseg.commands import run, serve
from jaxseg.inference.engine import Engine, Options, Prepared
from jaxseg.inference.results import SemanticResult
from jaxseg.inference.server import Limits, QueueFull, Service

testclient = pytest.importorskip("starlette.testclient")
server_app = pytest.importorskip("jaxseg.inference.server_app")

NAMES = ("background", "bright")
PALETTE = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)


class BrightPredictor:
    """A predictor for which a pixel above 127 is bright; it notes its batches and waits at a gate."""

    task, class_names = "semantic", NAMES

    def __init__(self):
        config = ml_collections.ConfigDict({"data": {}, "model": {"name": "bright"}})
        self.trained = types.SimpleNamespace(config=config)
        self.gate, self.batches = threading.Event(), []
        self.gate.set()

    def engine(self, **options):
        Options(**options)

        def compute(prepared):
            assert self.gate.wait(10)
            self.batches.append(len(prepared))
            return list(prepared)

        def finish(prepared, pending):
            mask = (prepared.image[..., 0] > 127).astype(np.uint8)
            return SemanticResult(prepared.image, mask, NAMES, PALETTE, confidence=np.full_like(mask, 204))

        return Engine(lambda image: Prepared(image, (image,), image.shape), compute, finish)


def encoded(height=2, width=4):
    """Returns a PNG; its left half is black and its right half is white."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, width // 2 :] = 255
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def predictor():
    return BrightPredictor()


def client(predictor, examples=(), **limits):
    app = server_app.make_app(predictor, Limits(**limits), examples)
    return testclient.TestClient(app, base_url="http://127.0.0.1")


def test_an_image_is_answered_with_its_mask_shares_and_confidence(predictor):
    with client(predictor) as http:
        answer = http.post("/predict?flips=true&tile=256", content=encoded()).json()
    assert (answer["task"], answer["height"], answer["width"]) == ("semantic", 2, 4)
    assert [(one["name"], one["share"]) for one in answer["classes"]] == [("background", 0.5), ("bright", 0.5)]
    assert answer["classes"][1]["confidence"] == pytest.approx(0.8)
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(answer["mask_png"]))))
    assert mask.tolist() == [[0, 0, 1, 1]] * 2


@pytest.mark.parametrize(
    ("content", "query", "status"),
    [
        (b"", "", 400),
        (b"no image", "", 400),
        (encoded()[:40], "", 400),
        (encoded(20, 20), "", 413),
        (b"x" * 5000, "", 413),
        (encoded(), "?tile=333", 400),
        (encoded(), "?flips=maybe", 400),
    ],
)
def test_a_bad_upload_is_refused_and_the_next_one_is_answered(predictor, content, query, status):
    with client(predictor, bytes=4000, pixels=300) as http:
        reply = http.post("/predict" + query, content=content)
        assert (reply.status_code, list(reply.json())) == (status, ["error"])
        assert http.post("/predict", content=encoded()).status_code == 200


def test_a_body_without_a_length_is_cut_at_the_limit(predictor):
    with client(predictor, bytes=4000) as http:
        assert http.post("/predict", content=(b"x" * 1000 for _ in range(9))).status_code == 413


def test_an_answer_that_takes_too_long_is_504_and_the_next_one_is_answered(predictor):
    with client(predictor, seconds=0.2) as http:
        predictor.gate.clear()
        assert http.post("/predict", content=encoded()).status_code == 504
        predictor.gate.set()
        assert http.post("/predict", content=encoded()).status_code == 200


def test_beyond_the_bound_requests_get_503(predictor):
    with client(predictor, waiting=1, seconds=0.3, batch=1) as http:
        predictor.gate.clear()
        assert http.post("/predict", content=encoded()).status_code == 504  # It is in computation.
        assert http.post("/predict", content=encoded()).status_code == 504  # It waits.
        reply = http.post("/predict", content=encoded())
        assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
        predictor.gate.set()


def test_waiting_requests_share_batches_and_an_error_concerns_one_image(predictor):
    predictor.gate.clear()
    with Service(predictor, lambda result: result.summary, Limits(batch=3)) as service:
        first = service.submit(encoded())
        while not first.running():
            time.sleep(0.01)
        rest = [service.submit(content) for content in (encoded(), b"broken", encoded())]
        predictor.gate.set()
        assert rest[2].result(10) == first.result(10) == "background 50.0%, bright 50.0%"
        with pytest.raises(ValueError, match="cannot be read as an image"):
            rest[1].result(10)
    assert predictor.batches == [1, 2]


def test_a_canceled_request_is_not_computed_and_the_queue_is_bounded(predictor):
    predictor.gate.clear()
    with Service(predictor, lambda result: result.summary, Limits(batch=1, waiting=1)) as service:
        first = service.submit(encoded())
        while not first.running():
            time.sleep(0.01)
        second = service.submit(encoded())
        with pytest.raises(QueueFull):
            service.submit(encoded())
        assert second.cancel()
        predictor.gate.set()
        first.result(10)
    assert predictor.batches == [1]


def test_examples_are_in_memory_and_no_file_is_served(predictor):
    image = np.full((8, 2048, 3), 7, np.uint8)
    with client(predictor, [image]) as http:
        assert Image.open(io.BytesIO(http.get("/examples/0.png").content)).size == (1024, 4)
        assert http.get("/info").json()["examples"] == 1
        for path in ("/examples/1.png", "/examples/..%2f..%2fREADME.md", "/../../etc/passwd", "/server_page.html"):
            assert http.get(path).status_code == 404
        assert "<canvas" in http.get("/").text


def test_other_host_names_are_refused(predictor):
    with client(predictor) as http:
        assert http.get("/info", headers={"host": "attacker.example"}).status_code == 400


def test_the_description_names_the_answer(predictor):
    with client(predictor) as http:
        answer = http.post("/predict", content=encoded()).json()
        post = http.get("/openapi.json").json()["paths"]["/predict"]["post"]
    assert {"200", "400", "408", "413", "503", "504"} == set(post["responses"])
    semantic = post["responses"]["200"]["content"]["application/json"]["schema"]["oneOf"][0]["properties"]
    assert set(semantic) == set(answer)
    assert set(semantic["classes"]["items"]["properties"]) == set(answer["classes"][0])


def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    assert run(["serve", "somewhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match=r"pip install 'jaxseg\[serve\]'"):
        serve.check_libraries()


def test_a_port_in_use_is_an_error_with_a_remedy():
    with serve.listen("127.0.0.1", 0) as listener, pytest.raises(ValueError, match="Give another --port"):
        serve.listen("127.0.0.1", listener.getsockname()[1])
