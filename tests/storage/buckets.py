"""Buckets on this machine's loopback: emulators of GCS and S3 behind a server that can refuse every request."""

import contextlib
import http.client
import http.server
import json
import logging
import math
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest

NAME = "bucket"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "date", "server"}


class Bucket:
    """A bucket for tests.

    Attributes:
      url: its URL.
      environment: variables with which clients find it.
      refusal: the HTTP status with which requests are refused; 0 serves them.
      times: how many requests are refused before the others are served again.
      refused: how many requests were refused.
    """

    def __init__(self, kind: str, port: int):
        self.url = f"{kind}://{NAME}"
        self.refuse(0)
        endpoint = f"http://127.0.0.1:{port}"
        self.environment = {
            "gs": {"STORAGE_EMULATOR_HOST": endpoint, "TENSORSTORE_GCS_HTTP_URL": endpoint},
            "s3": {
                "AWS_ENDPOINT_URL": endpoint,
                "AWS_ACCESS_KEY_ID": "testing",
                "AWS_SECRET_ACCESS_KEY": "testing",
                "AWS_REGION": "us-east-1",
            },
        }[kind]

    def refuse(self, refusal: int, times: float = math.inf) -> None:
        """Refuses requests from now on: all, or some times; none with a refusal of 0."""
        self.refusal, self.times, self.refused = refusal, times, 0


@contextlib.contextmanager
def serve_bucket(kind: str) -> Iterator[Bucket]:
    """Serves a bucket of "gs" or "s3" until the context ends."""
    with EMULATORS[kind]() as emulator_port:
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Front)
        server.daemon_threads = True
        server.bucket = Bucket(kind, server.server_port)
        server.emulator_port = emulator_port
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.bucket
        finally:
            server.shutdown()
            server.server_close()


class Front(http.server.BaseHTTPRequestHandler):
    """Hands requests on to an emulator, or refuses them."""

    protocol_version = "HTTP/1.1"

    def handle_request(self) -> None:
        """Answers one request."""
        body = self._body()
        bucket = self.server.bucket
        if bucket.refusal and bucket.refused < bucket.times:
            bucket.refused += 1
            self._answer(bucket.refusal, {}, b"refused")
            return
        status, headers, content = self._ask_emulator(self.path, body)
        if status == 200 and "alt=media" in self.path:
            # The emulator of GCS leaves out this header of objects. TensorStore needs it where it reads one again.
            described = json.loads(self._ask_emulator(self.path.split("?")[0].removeprefix("/download"), b"")[2])
            headers["x-goog-generation"] = described["generation"]
        self._answer(status, headers, content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_request

    def log_message(self, *_: Any) -> None:
        """Says nothing."""

    def _ask_emulator(self, path: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        emulator = http.client.HTTPConnection("127.0.0.1", self.server.emulator_port, timeout=30)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
        emulator.request(self.command, path, body, headers | {"Content-Length": str(len(body))})
        with contextlib.closing(emulator), emulator.getresponse() as answer:
            return answer.status, dict(answer.getheaders()), answer.read()

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("Transfer-Encoding", ""):
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, headers: dict[str, str], content: bytes) -> None:
        self.send_response(status)
        length = len(content)
        for name, value in headers.items():
            if name.lower() == "content-length" and self.command == "HEAD":
                length = int(value)
            elif name.lower() not in HOP_BY_HOP | {"content-length"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@contextlib.contextmanager
def gcs() -> Iterator[int]:
    """Serves an emulator of GCS; yields its port."""
    os.environ["GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT"] = "false"  # as jaxseg.storage has it
    emulator = pytest.importorskip("gcp_storage_emulator.server", reason="GCS needs gcp-storage-emulator")
    pytest.importorskip("gcsfs")
    port = free_port()
    server = emulator.create_server("127.0.0.1", port, in_memory=True, default_bucket=NAME)
    server.start()
    try:
        yield port
    finally:
        server.stop()


@contextlib.contextmanager
def s3() -> Iterator[int]:
    """Serves an emulator of S3; yields its port."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs every request
    moto = pytest.importorskip("moto.server", reason="S3 needs moto[server]")
    pytest.importorskip("s3fs")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("PUT", f"/{NAME}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/us-east-1/s3/c"})
    assert connection.getresponse().status == 200
    connection.close()
    try:
        yield port
    finally:
        server.stop()


def free_port() -> int:
    """Returns a port that nothing listens on."""
    with http.server.HTTPServer(("127.0.0.1", 0), Front) as server:
        return server.server_port


EMULATORS = {"gs": gcs, "s3": s3}
