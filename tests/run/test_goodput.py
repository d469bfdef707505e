"""Where the time of a run goes, on a clock that the test sets."""

import contextlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import pytest

from jaxseg.run.goodput import CHECKPOINT, COMPILE_EVENTS, EVALUATION, STEPS, Goodput, describe_shares

TRACE, LOWER, BACKEND = COMPILE_EVENTS


class Time:
    """A clock that only moves when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now

    def pass_(self, seconds):
        self.now += seconds


@pytest.fixture
def time():
    return Time()


@pytest.fixture
def clock(time):
    return Goodput(time)


def test_every_second_belongs_to_the_innermost_activity(time, clock):
    time.pass_(1)  # idle
    with clock.spend(STEPS):
        time.pass_(5)
        with clock.spend(CHECKPOINT):
            time.pass_(2)
        with clock.spend(EVALUATION):
            time.pass_(3)
            with clock.spend(CHECKPOINT):
                time.pass_(4)
        time.pass_(5)
    expected = {"steps": 10, "compile": 0, "data_wait": 0, "checkpoint": 6, "evaluation": 3, "idle": 1}
    assert clock.seconds == pytest.approx(expected)
    assert sum(clock.shares().values()) == pytest.approx(1)
    assert describe_shares(clock.shares()) == "50% steps, 30% checkpoint, 15% evaluation, 5% idle"


def test_an_activity_that_fails_is_counted(time, clock):
    with contextlib.suppress(KeyError), clock.spend(EVALUATION):
        time.pass_(3)
        raise KeyError
    assert clock.seconds["evaluation"] == 3


def test_compiling_within_a_step_is_not_a_step(time, clock):
    with clock.spend(STEPS):
        time.pass_(2)
        clock.listen(TRACE, 2.0)  # an inner function, which the outer one contains
        time.pass_(1)
        clock.listen(TRACE, 3.0)
        time.pass_(4)
        clock.listen(LOWER, 4.0)
        time.pass_(10)
        clock.listen(BACKEND, 10.0)
        clock.listen("/jax/another/event", 50.0)
        time.pass_(3)
    assert clock.seconds["compile"] == pytest.approx(17)
    assert clock.seconds["steps"] == pytest.approx(3)


@pytest.mark.parametrize(("ready", "lost"), [(None, 2.0), (True, 2.0), (False, 0.0)])
def test_waiting_for_data_is_lost_only_where_the_devices_wait_too(time, clock, ready, lost):
    def batches():
        time.pass_(2)
        yield "batch"

    result = None if ready is None else SimpleNamespace(is_ready=lambda: ready)
    with clock.spend(STEPS):
        assert clock.wait(batches(), result) == ("batch", lost)
    assert clock.seconds["data_wait"] == lost
    assert clock.seconds["steps"] == pytest.approx(2 - lost)


def test_jax_tells_what_it_compiles():
    with Goodput() as clock, clock.spend(STEPS):
        jax.jit(lambda x: jnp.sin(x) * 19.25 + 1)(jnp.ones(3))
        once = clock.seconds["compile"]
    assert once > 0
    jax.jit(lambda x: jnp.cos(x) * 20.25 + 2)(jnp.ones(3))
    assert clock.seconds["compile"] == once
