"""metrics.jsonl stays readable and free of doubles whatever happened to the run that wrote it."""

import json

from jaxseg.reporting.log import Report, computed_lines, read_lines, rewind

LINES = [{"step": step, "split": split} for step, split in ((1, "train"), (2, "train"), (2, "val"), (3, "train"))]


def write(path, lines, tail=""):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)


def test_a_line_cut_short_by_a_kill_is_left_out(tmp_path):
    write(tmp_path / "metrics.jsonl", LINES, tail='{"step": 4, "spl')
    assert read_lines(tmp_path / "metrics.jsonl") == LINES
    assert read_lines(tmp_path / "none.jsonl") == []


def test_resuming_takes_out_the_lines_after_the_restored_step(tmp_path):
    write(tmp_path / "metrics.jsonl", LINES, tail='{"st')
    assert rewind(tmp_path / "metrics.jsonl", 2) == LINES[:3]
    assert read_lines(tmp_path / "metrics.jsonl") == LINES[:3]


def test_scores_that_stand_already_are_not_written_twice(tmp_path):
    scores = {"mean_iou": 0.5, "iou": [0.5, None]}
    for _ in range(2):
        with Report(tmp_path, 5, 10, 8, speaks=True) as report:
            report.scores(5, "val", scores, ("cat", "dog"))
            report.train(6, {"loss": 1.0})
    assert read_lines(tmp_path / "metrics.jsonl") == [
        {"step": 5, "split": "val", **scores},
        {"step": 6, "split": "train", "loss": 1.0},
    ]


def test_the_time_of_a_session_is_its_last_line(tmp_path):
    for step in (1, 2):
        with Report(tmp_path, step - 1, 2, 8, speaks=True, shares=lambda: {"steps": 0.75, "idle": 0.25}) as report:
            report.train(step, {"loss": 1.0, "data_wait": 0.5})
    with Report(tmp_path, 2, 2, 8, speaks=True, shares=dict):
        pass  # took no step
    goodput = [line for line in read_lines(tmp_path / "metrics.jsonl") if line["split"] == "goodput"]
    assert goodput == [{"step": step, "split": "goodput", "steps": 0.75, "idle": 0.25} for step in (1, 2)]
    trained = [{"step": step, "split": "train", "loss": 1.0} for step in (1, 2)]
    assert computed_lines(tmp_path / "metrics.jsonl") == trained


def test_all_processes_but_one_stay_silent(tmp_path, capsys):
    with Report(tmp_path, 0, 10, 8, speaks=False) as report:
        report.train(1, {"loss": 1.0})
        report.scores(1, "val", {"mean_iou": 0.5}, ("cat",))
        report.say("hello")
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr() == ("", "")
