"""The server under load: broken uploads among good ones, from many clients at once."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from served import serve_in_thread
from test_server import BrightPredictor, encoded, post, server_app

from jaxseg.inference.server import Limits

REQUESTS, CLIENTS = 200, 20
ALLOWED = 40 * 2**20  # Bytes that the second half of the requests may add; 100 photographs are 190 MB.


def resident():
    """Returns the bytes of memory that this process occupies."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096


@pytest.mark.slow
def test_two_hundred_requests_from_twenty_clients_are_all_answered():
    predictor = BrightPredictor()
    photo = encoded(720, 880)
    threads = threading.active_count()

    def ask(number):
        broken = number % 10 == 9
        return broken, *post(address, photo[: len(photo) // 2] if broken else photo)

    app = server_app.make_app(predictor, Limits(waiting=CLIENTS, batch=4))
    with serve_in_thread(app) as address, ThreadPoolExecutor(CLIENTS) as clients:
        answers = list(clients.map(ask, range(REQUESTS // 2)))
        before = resident()
        answers += clients.map(ask, range(REQUESTS // 2, REQUESTS))
        grown = resident() - before
    assert len(answers) == REQUESTS
    for broken, status, answer in answers:
        assert status == (400 if broken else 200), answer
        assert broken or [one["share"] for one in answer["classes"]] == [0.5, 0.5]
    assert sum(predictor.batches) == REQUESTS - REQUESTS // 10
    assert max(predictor.batches) <= 4
    assert np.mean(predictor.batches) > 1  # Waiting requests shared batches.
    assert grown < ALLOWED, f"{grown / 2**20:.0f} MiB more after the second half"
    assert threading.active_count() <= threads
