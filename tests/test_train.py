"""Whole runs: trained, stopped, killed, resumed, refused."""

import json
import os
import shutil
import signal

import chex
import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_experiment

import jaxseg.train as training
from jaxseg.data.report import Findings
from jaxseg.evaluate import evaluate, load_state
from jaxseg.reporting.log import computed_lines, read_lines
from jaxseg.run import checkpoint_reader
from jaxseg.run.checkpoint_reader import saved_steps
from jaxseg.run.checkpoints import Checkpoints
from jaxseg.run.scored_splits import check_scored
from jaxseg.types import Catalogue, Record, Source


def final_state(folder, config=None):
    """The newest state of a workdir."""
    experiment, _ = tiny_experiment(config or tiny_config())
    return jax.device_get(load_state(experiment, folder, "latest"))


def interrupt_at(monkeypatch, step, signum):
    """Sends this process a signal when a step is reported."""
    report_step = training.report_step

    def note_and_interrupt(run, number, logs):
        report_step(run, number, logs)
        if number == step:
            os.kill(os.getpid(), signum)

    monkeypatch.setattr(training, "report_step", note_and_interrupt)


def test_a_run_leaves_what_it_promises(trained):
    folder, scores = trained
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "config.json",
        "classes.json",
        "model.txt",
        "metrics.jsonl",
        "checkpoints",
        "pictures",
        "tensorboard",
        "curves.png",
        "report.html",
        "per_image.csv",
        "confusion_matrix.csv",
        "sessions.json",
        "data.json",
    }
    lines = computed_lines(folder / "metrics.jsonl")
    assert [(line["step"], line["split"]) for line in lines] == [
        (1, "train"),
        (2, "train"),
        (2, "val"),
        (3, "train"),
        (4, "train"),
        (4, "val"),
    ]
    assert lines[-1] == {"step": 4, "split": "val", **scores["val"]}
    times = read_lines(folder / "metrics.jsonl")
    assert all(line["data_wait"] >= 0 for line in times if line["split"] == "train")
    assert (times[-1].pop("step"), times[-1].pop("split")) == (4, "goodput")
    assert set(times[-1]) == {"steps", "compile", "data_wait", "checkpoint", "evaluation", "idle"}
    assert sum(times[-1].values()) == pytest.approx(1, abs=1e-5)
    assert min(times[-1].values()) > -0.01
    assert set(lines[0]) == {"step", "split", "loss", "cross_entropy", "gradient_norm", "learning_rate"}
    assert set(lines[-1]) >= {
        "loss",
        "pixel_accuracy",
        "mean_pixel_accuracy",
        "mean_iou",
        "frequency_weighted_iou",
        "iou",
    }
    assert json.loads((folder / "config.json").read_text())["train"]["steps"] == 4
    assert {path.name for path in (folder / "pictures").iterdir()} == {"val_0000002.png", "val_0000004.png"}
    assert "Total Parameters: 1,828" in (folder / "model.txt").read_text()


def test_a_finished_run_says_so_and_is_scored_again(trained, capsys):
    folder, scores = trained
    before = (folder / "metrics.jsonl").read_text()
    assert training.train(tiny_config(), folder) == scores
    assert "is finished" in capsys.readouterr().out
    assert (folder / "metrics.jsonl").read_text() == before


def test_evaluate_gives_the_scores_of_the_run(trained):
    folder, scores = trained
    assert evaluate(tiny_config(), folder, "latest") == scores
    with pytest.raises(ValueError, match=r"--checkpoint is '77'.*\[2, 4\]"):
        evaluate(tiny_config(), folder, "77")


@pytest.mark.parametrize("signum", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_saves_and_the_run_resumes_to_the_bit(trained, tmp_path, monkeypatch, signum):
    with monkeypatch.context() as patch:
        interrupt_at(patch, 2, signum)  # reported while step 3 is under way
        with pytest.raises(training.Interrupted, match=f"{signum.name} after step 3, which is saved") as stop:
            training.train(tiny_config(train__evaluate_every=0, train__checkpoint_every=0), tmp_path)
    assert stop.value.exit_status == 128 + signum
    training.train(tiny_config(), tmp_path)
    chex.assert_trees_all_equal(final_state(tmp_path), final_state(trained[0]))
    lines = [
        line for line in computed_lines(trained[0] / "metrics.jsonl") if (line["step"], line["split"]) != (2, "val")
    ]
    assert computed_lines(tmp_path / "metrics.jsonl") == lines


@pytest.mark.slow
def test_the_cache_may_be_deleted_in_mid_run(trained, tmp_path, monkeypatch):
    report_step = training.report_step

    def note_and_delete(run, step, logs):
        report_step(run, step, logs)
        if step == 2:
            shutil.rmtree(tmp_path / "data" / "cache")

    monkeypatch.setattr(training, "report_step", note_and_delete)
    training.train(tiny_config(data__cache=True, data__dir=str(tmp_path / "data")), tmp_path / "run")
    chex.assert_trees_all_equal(final_state(tmp_path / "run"), final_state(trained[0]))


@pytest.mark.slow
def test_longer_training_goes_on_where_the_run_ended(trained, tmp_path, capsys):
    training.train(tiny_config(train__steps=2), tmp_path)
    training.train(tiny_config(), tmp_path)
    said = capsys.readouterr().out
    assert "train.steps: 2 -> 4" in said
    assert "resumes from step 2" in said
    chex.assert_trees_all_equal(final_state(tmp_path), final_state(trained[0]))


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path):
    config = tiny_config(optimizer__name="sgd", optimizer__learning_rate=1e30, train__checkpoint_every=1)
    with pytest.raises(
        FloatingPointError, match=r"of step \d is (nan|inf).*(checkpoint of step \d is good|no checkpoint)"
    ):
        training.train(config, tmp_path)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"seed": 3}, "belongs to another run.*seed was 0, now 3"),
        ({"model__features": 5}, "model.features was 4, now 5"),
    ],
)
def test_the_workdir_of_another_run_is_refused(trained, fields, named):
    before = (trained[0] / "config.json").read_text()
    with pytest.raises(ValueError, match=named):
        training.train(tiny_config(**fields), trained[0])
    assert (trained[0] / "config.json").read_text() == before


def test_a_run_that_took_no_step_does_not_keep_its_workdir(trained, tmp_path):
    """One is refused for its memory, another one was killed before its first checkpoint; then the model is changed."""
    with pytest.raises(ValueError, match="no smaller batch fits"):
        training.train(tiny_config(memory_limit=1e-6), tmp_path)
    assert not (tmp_path / "config.json").exists()
    for name in ("config.json", "classes.json"):
        shutil.copy(trained[0] / name, tmp_path)
    assert training.train(tiny_config(model__features=2, train__steps=1), tmp_path)


def test_a_start_that_is_refused_leaves_the_run_as_it_was(trained, tmp_path):
    """Another optimizer has another state, and a small limit has no room: the run can still be scored and resumed."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    before = (tmp_path / "config.json").read_bytes()
    refused = {
        "the checkpoints in .* are of another optimizer": {"optimizer__name": "sgd", "optimizer__ema": 0.9},
        "no smaller batch fits": {"memory_limit": 1e-6, "train__steps": 100},
    }
    for message, fields in refused.items():
        with pytest.raises(ValueError, match=message):
            training.train(tiny_config(**fields), tmp_path)
        assert (tmp_path / "config.json").read_bytes() == before
    assert evaluate(tiny_config(), tmp_path, "latest") == evaluate(tiny_config(), trained[0], "latest")


def test_a_workdir_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot be written.*another --workdir"):
        training.train(tiny_config(), tmp_path / "file" / "run")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("damaged", ["arrays", pytest.param("metadata", marks=pytest.mark.slow)])
def test_a_damaged_checkpoint_is_set_aside_and_an_older_one_used(trained, tmp_path, capsys, damaged):
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "checkpoints" / "4").rglob("*"):
        if path.is_file() and (path.stat().st_size > 1000) != (damaged == "metadata"):
            path.write_bytes(path.read_bytes()[:100])
    training.train(tiny_config(), tmp_path)
    captured = capsys.readouterr()
    assert "checkpoint 4 cannot be read" in captured.err
    assert "resumes from step 2" in captured.out
    assert [path.name for path in (tmp_path / "checkpoints_unreadable").iterdir()] == ["4_0"]
    chex.assert_trees_all_equal(final_state(tmp_path), final_state(trained[0]))


# Orbax leaves a file open when it cannot read it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_run_without_a_readable_checkpoint_does_not_begin_anew(tmp_path):
    training.train(tiny_config(train__steps=1), tmp_path)
    for path in (tmp_path / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(b"")
    with pytest.raises(ValueError, match="no checkpoint in .* can be read.*step 1"):
        training.train(tiny_config(), tmp_path)


def test_the_best_checkpoint_is_kept_beside_the_newest(tmp_path):
    experiment, _ = tiny_experiment(tiny_config())
    state = experiment.steps.init()
    with Checkpoints(tmp_path, 2, "mean_iou") as checkpoints:
        for step, score in enumerate((0.1, 0.9, 0.3, None, float("nan"), 0.4), start=1):
            checkpoints.save(state._replace(step=np.int32(step)))
            if step != 3:
                checkpoints.add_scores(step, {"mean_iou": score, "iou": [score]})
        assert checkpoints.steps() == [2, 5, 6]
        assert checkpoints.best() == 2
    assert int(load_state(experiment, tmp_path, "best").step) == 2
    # What a later process knows is what the folder says.
    with Checkpoints(tmp_path, 1, "mean_iou") as checkpoints:
        checkpoints.save(state._replace(step=np.int32(7)))
        checkpoints.finish()
        assert checkpoints.steps() == [2, 7]


@pytest.mark.slow
@pytest.mark.parametrize("best_metric", [None, pytest.param("", marks=pytest.mark.slow)])
def test_without_a_best_metric_the_newest_are_kept(tmp_path, best_metric):
    training.train(tiny_config(train__best_metric=best_metric, train__keep=1), tmp_path)
    assert saved_steps(tmp_path) == [4]
    with pytest.raises(ValueError, match=r"--checkpoint is 'best'.*steps \[4\]"):
        evaluate(tiny_config(train__best_metric=best_metric), tmp_path, "best")


@pytest.mark.slow
def test_a_state_is_saved_before_it_is_evaluated(trained, tmp_path, monkeypatch):
    """An image that cannot be read ends the evaluation, not the run; once it is mended, nothing is missing."""
    with monkeypatch.context() as patch:
        patch.setattr(training, "score", fail)
        with pytest.raises(ValueError, match="an image cannot be read"):
            training.train(tiny_config(), tmp_path)
        assert saved_steps(tmp_path) == [2]
        assert not (tmp_path / "checkpoints" / "2" / "scores.json").exists()
    training.train(tiny_config(), tmp_path)
    assert computed_lines(tmp_path / "metrics.jsonl") == computed_lines(trained[0] / "metrics.jsonl")
    chex.assert_trees_all_equal(final_state(tmp_path), final_state(trained[0]))


def fail(*_, **__):
    raise ValueError("an image cannot be read")


def test_a_split_without_anything_to_score_is_refused_before_the_first_step():
    record = Record("a", np.zeros((2, 2, 3), np.uint8), np.array([[255, 255], [1, 255]], np.uint8))
    catalogue = Catalogue(np.full((2, 2), 2), np.zeros(2, np.int32), (1, 2), (0, 1))
    void = record._replace(label=np.full((2, 2), 255, np.uint8))
    source = Source([void, record], ("a", "b"), np.zeros((2, 3), np.uint8), catalogue=catalogue)
    check_scored({"val": source}, "semantic")
    with pytest.raises(ValueError, match=r"data\.val has label maps of nothing but 255.*Set data\.val=''"):
        check_scored({"val": source._replace(records=[void, void])}, "semantic")
    looked = source._replace(records=None, findings=Findings(2, shares=(0.0, 0.0)))
    with pytest.raises(ValueError, match="nothing but 255"):
        check_scored({"val": looked._replace(records=[None])}, "semantic")
    unlabeled = source._replace(records=[record._replace(label=None)], files=["photos/a.jpg"])
    with pytest.raises(ValueError, match=r"photos/a\.jpg cannot be used: there is no label map"):
        check_scored({"val": unlabeled}, "semantic")
    with pytest.raises(ValueError, match="data.val has no objects"):
        check_scored({"val": source}, "instances")
    with pytest.raises(ValueError, match="data.test has no images"):
        check_scored({"test": source._replace(records=[])}, "semantic")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Orbax leaves a file open
def test_readers_change_nothing(trained, tmp_path):
    """Not even what a training is writing at this moment, or a checkpoint that cannot be read."""
    shutil.copytree(trained[0], tmp_path, dirs_exist_ok=True)
    unfinished = tmp_path / "checkpoints" / "5.orbax-checkpoint-tmp"
    unfinished.mkdir()
    shutil.rmtree(tmp_path / "checkpoints" / "4" / "default" / "d")
    before = listing(tmp_path)
    assert int(final_state(tmp_path).step) == 2
    with pytest.raises(ValueError, match="checkpoint 4 of .* cannot be read"):
        evaluate(tiny_config(), tmp_path, "4")
    checkpoint_reader.read_newest(tmp_path)
    assert listing(tmp_path) == before


def listing(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
