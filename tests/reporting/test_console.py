"""What a run prints, on a terminal, in a log file, for programs, or not at all."""

import json

import pytest

from jaxseg.reporting import console as consoles
from jaxseg.reporting.console import Console, duration, score_table


@pytest.fixture
def clock(monkeypatch):
    """The time in seconds, as a list of one number."""
    now = [100.0]
    monkeypatch.setattr(consoles.time, "monotonic", lambda: now[0])
    return now


def run(mode, clock, steps=100):
    """A run whose steps take an eighth of a second."""
    console = Console(mode, 0, steps)
    for step in range(1, steps + 1):
        clock[0] += 0.125
        console.show_progress(step, 1 / step, 50.0)
    console.say("done")
    console.close()


def test_without_a_terminal_progress_is_a_line_every_five_seconds_and_the_last_step(clock, capsys):
    run("auto", clock)
    out, err = capsys.readouterr()
    assert out == "done\n"
    assert err == "".join(f"step {step} of 100, loss {1 / step:.4f}, 50.0 images/s\n" for step in (40, 80, 100))
    assert "\r" not in err


def test_quiet_prints_nothing(clock, capsys):
    run("quiet", clock)
    Console("quiet", 0, 9).show_scores(9, "val", {"mean_iou": 0.5}, None, ())
    assert capsys.readouterr() == ("", "")


def test_json_has_one_object_per_event(clock, capsys):
    run("json", clock)
    Console("json", 0, 9).show_scores(9, "val", {"mean_iou": 0.5, "iou": [0.5, None]}, None, ("a", "b"))
    out, err = capsys.readouterr()
    assert err == ""
    assert [json.loads(line) for line in out.splitlines()] == [
        {"event": "progress", "step": 40, "steps": 100, "loss": 0.025, "images_per_second": 50.0},
        {"event": "progress", "step": 80, "steps": 100, "loss": 0.0125, "images_per_second": 50.0},
        {"event": "progress", "step": 100, "steps": 100, "loss": 0.01, "images_per_second": 50.0},
        {"event": "message", "text": "done"},
        {"event": "scores", "step": 9, "split": "val", "scores": {"mean_iou": 0.5, "iou": [0.5, None]}},
    ]


def test_a_bar_has_messages_above_it(clock, capsys):
    run("bar", clock)
    out, err = capsys.readouterr()
    assert out == "done\n"
    assert "100/100" in err


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="console is 'loud'; expected one of auto, bar"):
        Console("loud", 0, 1)


def test_scores_are_a_table_with_changes():
    scores = {"mean_iou": 0.75, "loss": 0.5, "iou": [0.5, None, 1.0]}
    before = {"mean_iou": 0.5, "loss": 0.75, "iou": [0.25, None, None]}
    assert score_table(scores, before, ("cat", "dog", "Straße")) == [
        "  mean_iou  0.7500 +0.2500",
        "  loss      0.5000 -0.2500",
        "  - cat     0.5000 +0.2500",
        "  - Straße  1.0000",
    ]


def test_boxes_and_masks_share_a_row():
    scores = {"bbox_AP": 0.5, "segm_AP": 0.25, "bbox_AP_small": None, "segm_AP_small": 0.125}
    assert score_table(scores, None, ()) == [
        "            bbox              segm",
        "  AP        0.5000            0.2500",
        "  AP_small  -                 0.1250",
    ]


def test_of_many_classes_the_lowest_and_the_highest_are_shown():
    names = tuple(f"class {i}" for i in range(20))
    lines = score_table({"iou": [i / 20 for i in range(20)]}, None, names)
    assert [line.split()[2] for line in lines] == ["0", "1", "2", "17", "18", "19"]


@pytest.mark.parametrize(
    ("seconds", "words"), [(45, "45 s"), (720, "12 min"), (12000, "3 h 20 min"), (200000, "2 d 7 h")]
)
def test_durations(seconds, words):
    assert duration(seconds) == words
