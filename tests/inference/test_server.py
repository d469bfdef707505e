"""The server: answers, limits, bad uploads, a full queue, timeouts and batches."""

import base64
import http.client
import io
import json
import socket
import threading
import time
import types
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image
from served import serve_in_thread

from jaxseg.commands import run, serve
from jaxseg.config import defaults
from jaxseg.inference.engine import Engine, Options, Prepared
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.semantic_result import SemanticResult
from jaxseg.inference.server import ImageTooLarge, Limits, QueueFull, Service, _Request
from jaxseg.inference.server_answers import to_answer
from jaxseg.inference.server_openapi import describe_api

with warnings.catch_warnings():
    # Newer versions of starlette prefer httpx2 and warn about httpx; older ones know httpx only.
    warnings.simplefilter("ignore")
    testclient = pytest.importorskip("starlette.testclient")
server_app = pytest.importorskip("jaxseg.inference.server_app")

NAMES = ("background", "bright")
PALETTE = np.array([[0, 0, 0], [255, 0, 0]], np.uint8)


class BrightPredictor:
    """A predictor for which a pixel above 127 is bright; it notes its batches and waits at a gate."""

    task, class_names = "semantic", NAMES

    def __init__(self):
        config = defaults.semantic()
        config.model.name = "bright"
        self.trained = types.SimpleNamespace(config=config)
        self.gate, self.batches, self.options = threading.Event(), [], []
        self.gate.set()

    def engine(self, **options):
        self.options.append(Options(**options))

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


def post(address, content, query=""):
    """Sends an image to a served application; returns the status and the answer."""
    connection = http.client.HTTPConnection(*address, timeout=30)
    try:
        connection.request("POST", f"/predict{query}", content)
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


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
        (cv2.imencode(".hdr", np.zeros((20, 20, 3), np.float32))[1].tobytes(), "", 413),
        (b"x" * 5000, "", 413),
        (encoded(), "?tile=333", 400),
        (encoded(), "?flips=maybe", 400),
    ],
    ids=["empty", "no_image", "cut_off", "pixels", "pixels_by_opencv", "bytes", "tile", "flips"],
)
def test_a_bad_upload_is_refused_and_the_next_one_is_answered(predictor, content, query, status):
    with client(predictor, bytes=4000, pixels=300) as http:
        reply = http.post("/predict" + query, content=content)
        assert (reply.status_code, list(reply.json())) == (status, ["error"])
        assert http.post("/predict", content=encoded()).status_code == 200


def test_a_form_is_refused_with_the_right_command(predictor):
    with client(predictor) as http:
        answer = http.post("/predict", content=b"--x", headers={"content-type": "multipart/form-data; boundary=x"})
    assert answer.status_code == 400
    assert "curl --data-binary" in answer.text


def test_a_body_without_a_length_is_cut_at_the_limit(predictor):
    with client(predictor, bytes=4000) as http:
        assert http.post("/predict", content=(b"x" * 1000 for _ in range(9))).status_code == 413


def test_what_opencv_refuses_for_its_size_is_too_large(predictor, monkeypatch):
    def refuse(*arguments):
        raise ValueError("the upload cannot be read as an image: (-215) pixels <= CV_IO_MAX_IMAGE_PIXELS")

    monkeypatch.setattr("jaxseg.inference.server.decode_image", refuse)
    with pytest.raises(ImageTooLarge, match="too many pixels"):
        Service(predictor, to_answer).read(_Request(encoded(), (), None))


def test_an_upload_that_takes_too_long_is_408_and_the_next_one_is_answered(predictor):
    app = server_app.make_app(predictor, Limits(seconds=0.3))
    with serve_in_thread(app) as address, socket.create_connection(address, timeout=10) as slow:
        head = f"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:{address[1]}\r\nContent-Length: 500\r\n\r\n"
        slow.sendall(head.encode() + b"the first of 500 bytes")
        assert slow.recv(12) == b"HTTP/1.1 408"
        assert post(address, encoded())[0] == 200


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


def test_the_programs_of_requests_are_compiled_before_the_first(predictor):
    examples = [np.zeros((size, 4, 3), np.uint8) for size in (2, 3, 2)]
    app = server_app.make_app(predictor, Limits(batch=3), examples, warm_up=True)
    warm, predictor.options = predictor.options, []
    assert predictor.batches == [1, 1, 3, 3]
    with testclient.TestClient(app, base_url="http://127.0.0.1") as http:
        http.post("/predict", content=encoded())
    assert warm[0] == predictor.options[0] == Options(batch=1, confidence=True)
    assert warm[1] == Options(batch=3, confidence=True)


def test_objects_are_answered_with_their_masks_where_they_are():
    probabilities = np.zeros((3, 28, 28), np.float32)
    probabilities[:2, :, :10] = 1
    boxes = np.array([[2, 1, 30, 29], [-20, 0, 8, 28], [90, 1, 118, 29]], np.float32)  # A pixel per probability.
    scores, classes = np.array([0.9, 0.5, 0.4], np.float32), np.array([1, 2, 1], np.int32)
    image = np.zeros((32, 40, 3), np.uint8)
    result = InstanceResult(image, boxes, scores, classes, probabilities, ("nothing", "cat", "dog"))
    answer = to_answer(result)
    assert (answer["task"], answer["height"], answer["width"]) == ("instances", 32, 40)
    cat, dog = answer["objects"]  # The third is beyond the image.
    assert (cat["name"], cat["number"], cat["box"]) == ("cat", 1, [2, 1, 30, 29])
    assert (dog["name"], dog["score"], dog["mask_left"], dog["mask_top"]) == ("dog", 0.5, 0, 0)
    mask = np.asarray(Image.open(io.BytesIO(base64.b64decode(cat["mask_png"]))))
    assert 10 * 28 * 255 <= mask.sum() <= 11 * 29 * 255
    whole = np.zeros((32, 40), bool)
    whole[cat["mask_top"] :, cat["mask_left"] :][: len(mask), : mask.shape[1]] = mask != 0
    np.testing.assert_array_equal(whole, result.masks[0])
    schema = describe_api(Limits())["paths"]["/predict"]["post"]["responses"]["200"]
    one = schema["content"]["application/json"]["schema"]["oneOf"][1]["properties"]["objects"]["items"]
    assert set(one["properties"]) == set(cat)


def test_a_missing_library_is_one_line_that_names_the_extra(monkeypatch, capsys):
    monkeypatch.setattr(serve.importlib.util, "find_spec", lambda name: None)
    assert run(["serve", "somewhere"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match=r"pip install 'jaxseg\[serve\]'"):
        serve.check_libraries()


def test_a_port_in_use_is_an_error_with_a_remedy():
    with serve.listen("127.0.0.1", 0) as listener, pytest.raises(ValueError, match="Give another --port"):
        serve.listen("127.0.0.1", listener.getsockname()[1])
