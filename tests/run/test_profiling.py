"""A window of a run under the profiler."""

import gzip
import json

import pytest
from experiments import tiny_config

from jaxseg.run.profiling import Profile
from jaxseg.train import train


@pytest.mark.slow
# The profiler's own Python has these.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_a_window_of_steps_is_traced(tmp_path):
    train(tiny_config(train__steps=4, train__evaluate_every=0), tmp_path, profile_steps=(2, 3))
    (trace,) = (tmp_path / "profile").rglob("*.xplane.pb")
    (perfetto,) = trace.parent.glob("perfetto_trace.json.gz")
    events = json.loads(gzip.decompress(perfetto.read_bytes()))["traceEvents"]
    steps = {event["args"]["step_num"] for event in events if event.get("name") == "train" and "args" in event}
    assert steps == {"2", "3"}


@pytest.mark.parametrize("window", [(0, 3), (5, 4)])
def test_a_window_that_cannot_be_is_refused(tmp_path, window):
    with pytest.raises(ValueError, match=f"--profile_steps is {window[0]},{window[1]}"):
        Profile(tmp_path, window)


def test_a_window_that_no_step_is_in_is_said(tmp_path, capsys):
    train(tiny_config(train__steps=2, train__evaluate_every=0), tmp_path, profile_steps=(10, 20), console="auto")
    assert "--profile_steps=10,20 traces nothing: this start takes steps 1 to 2" in capsys.readouterr().out
    assert not (tmp_path / "profile").exists()
