import functools
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest


class Handler(BaseHTTPRequestHandler):
    """Serves bytes by path; under /torn/ it hangs up half-way, having promised the whole."""

    def __init__(self, files, *arguments):
        self.files = files
        super().__init__(*arguments)

    def do_GET(self):
        body = self.files.get(self.path.removeprefix("/torn"))
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if self.path.startswith("/torn") else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """A function of {path: bytes} that serves them on the loopback and returns the base of the address."""
    servers = []

    def start(files):
        server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, files))
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()
