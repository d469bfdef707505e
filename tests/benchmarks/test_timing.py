"""Turns, medians, and what rows say of them."""

import pytest

from jaxseg.benchmarks.peaks import COPY, PRODUCT
from jaxseg.benchmarks.rows import block_rows
from jaxseg.benchmarks.timing import Contender, Timing, alternate, summary


class Clock:
    """A time that passes only when somebody works."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def worker(clock, mode, seconds, log):
    """Somebody who takes the next of ``seconds`` for each piece of work, for the last one for ever."""
    waiting = list(seconds)

    def run(count):
        log.append((mode, count))
        for _ in range(count):
            clock.now += waiting.pop(0) if len(waiting) > 1 else waiting[0]

    def prepare():
        clock.now += 100.0

    return Contender("jaxseg", mode, run, prepare=prepare)


def test_contenders_take_turns_of_equal_length_and_their_first_calls_do_not_count(monkeypatch):
    monkeypatch.setattr("jaxseg.benchmarks.timing.REST", 0.0)
    clock, log = Clock(), []
    slow, quick = worker(clock, "slow", [50.0, 2.0], log), worker(clock, "quick", [9.0, 0.25], log)
    timings = alternate([slow, quick], rounds=3, seconds=1.0, clock=clock)
    assert log == [("slow", 1)] * 2 + [("quick", 1)] * 2 + [("slow", 1), ("quick", 4)] * 3
    assert timings == [Timing(2.0, 0.0), Timing(0.25, 0.0)]


def test_a_disturbance_shows_in_the_spread_and_not_in_the_median():
    assert summary([1.0, 1.0, 1.0, 1.0, 4.0]) == Timing(1.0, 3.0)


def test_rows_are_relative_to_the_first_contender_and_to_the_peaks():
    contenders = [
        Contender("jaxseg", "jit", print, images=8, flops=6e9, bytes_moved=1e9, peak_bytes=lambda: 5),
        Contender("torch", "eager", print, images=8),
        Contender("jax", PRODUCT, print, flops=4e9),
        Contender("jax", COPY, print, bytes_moved=8e9),
    ]
    ours, theirs, product, copy = block_rows("train", contenders, [Timing(s, 0.1) for s in (2.0, 5.0, 0.5, 1.0)])
    assert (ours["images_per_second"], theirs["images_per_second"], product["images_per_second"]) == (4.0, 1.6, None)
    assert (ours["ratio"], theirs["ratio"], product["ratio"]) == (1.0, 2.5, None)
    assert ours["share_of_product"] == pytest.approx(3e9 / 8e9)
    assert ours["share_of_copy"] == pytest.approx(0.5e9 / 8e9)
    assert (product["share_of_product"], copy["share_of_copy"], theirs["share_of_product"]) == (1.0, 1.0, None)
    assert [row["what"] for row in (ours, theirs, product, copy)] == ["train", "train", "peak", "peak"]
    assert (ours["peak_bytes"], theirs["peak_bytes"]) == (5, None)
