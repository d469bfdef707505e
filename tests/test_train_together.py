"""Runs that are trained together are those that are trained one by one."""

import json
import os
import signal

import chex
import jax
import numpy as np
import pytest
from experiments import tiny_config, tiny_detector, tiny_experiment

import jaxseg.train_together as training
from jaxseg.data.selection import read_fold, select_fold
from jaxseg.data.sources import open_source
from jaxseg.data.stacked import stacked_stream
from jaxseg.inference.predictor import load
from jaxseg.reporting.log import computed_lines
from jaxseg.run import checkpoint_reader, ensemble, workdir
from jaxseg.run.members import compile_members
from jaxseg.run.signals import Interrupted
from jaxseg.tasks.semantic import batches
from jaxseg.train import train
from jaxseg.train_together import train_together

# An adaptive optimizer divides small gradients by their own size and so magnifies rounding.
SGD = {"optimizer__name": "sgd", "optimizer__learning_rate": 0.1, "mesh__data": 1}


@pytest.fixture(autouse=True)
def _one_device(monkeypatch):
    """One device, as on a laptop, unless a test asks for more."""
    monkeypatch.setattr(jax, "devices", lambda *_: jax.local_devices()[:1])


def assert_same_run(folder, other):
    """Equal steps and splits, and numbers and states that differ by rounding only."""
    lines, expected = computed_lines(folder / "metrics.jsonl"), computed_lines(other / "metrics.jsonl")
    assert [(line["step"], line["split"]) for line in lines] == [(line["step"], line["split"]) for line in expected]
    for line, single in zip(lines, expected, strict=True):
        assert line.keys() == single.keys()
        for name in line.keys() - {"split"}:
            np.testing.assert_allclose(line[name], single[name], rtol=1e-4, atol=1e-5, err_msg=f"{name} of {line}")
    states = [checkpoint_reader.read_newest(each) for each in (folder, other)]
    chex.assert_trees_all_close(*states, rtol=1e-4, atol=1e-5)


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    """Two seeds that were trained together, stopped by a signal and resumed; and the summary of their scores."""
    folder = tmp_path_factory.mktemp("together")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "devices", lambda *_: jax.local_devices()[:1])
        report_steps = training.report_steps

        def note_and_interrupt(runs, step, logs):
            report_steps(runs, step, logs)
            if step == 2:
                os.kill(os.getpid(), signal.SIGTERM)

        patch.setattr(training, "report_steps", note_and_interrupt)
        with pytest.raises(Interrupted, match="SIGTERM after step"):
            train_together(tiny_config(**SGD), folder, seeds=2)
        patch.setattr(training, "report_steps", report_steps)
        return folder, train_together(tiny_config(**SGD), folder, seeds=2)


@pytest.mark.slow
def test_each_member_is_the_run_of_its_seed(together, tmp_path):
    folder, summary = together
    alone = [train(tiny_config(seed=seed, **SGD), tmp_path / str(seed)) for seed in range(2)]
    for seed in range(2):
        assert_same_run(folder / f"seed_{seed}", tmp_path / str(seed))
        assert json.loads((folder / f"seed_{seed}/config.json").read_text())["seed"] == seed
    values = [scores["val"]["mean_iou"] for scores in alone]
    np.testing.assert_allclose(summary["val"]["mean_iou"], (np.mean(values), np.std(values)), rtol=1e-4)
    assert json.loads((folder / "ensemble.json").read_text())["members"] == ["seed_0", "seed_1"]


@pytest.mark.slow
def test_the_ensemble_predicts_the_mean_of_the_probabilities(together):
    folder, _ = together
    image = np.random.default_rng(0).integers(0, 256, (40, 48, 3), np.uint8)
    each = [load(folder / f"seed_{seed}").predict(image, probabilities=True).probabilities for seed in range(2)]
    found = load(folder).predict(image, probabilities=True)
    # Probabilities are kept as shares of 65535. The ensemble's are averaged before they are resized.
    assert np.abs(found.probabilities - np.mean(each, axis=0)).max() < 0.01 * 65535
    assert np.abs(found.probabilities - each[0].astype(float)).max() > 0.02 * 65535, "both members count"
    assert found.mask.shape == (40, 48)


@pytest.mark.slow
def test_each_member_is_the_run_of_its_fold(tmp_path):
    fields = {**SGD, "data__select__first": 41, "train__steps": 2, "train__evaluate_every": 0}
    train_together(tiny_config(**fields), tmp_path / "folds", folds=2)
    for fold in range(2):
        own = {"data__train": f"train[!{fold}/2]", "data__val": f"train[{fold}/2]"}
        train(tiny_config(**fields, **own), tmp_path / str(fold))
        assert_same_run(tmp_path / f"folds/fold_{fold}", tmp_path / str(fold))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4], ids=["a member per device", "each batch over all devices"])
def test_members_on_several_devices_take_the_steps_of_one(count):
    def steps_on(devices):
        experiment, source = tiny_experiment(
            tiny_config(**SGD | {"mesh__data": devices}), jax.local_devices()[:devices]
        )
        steps = compile_members(experiment, [0, 1])
        datasets = [batches.train_dataset(source, experiment.config.data, batch_size=8, seed=seed) for seed in (0, 1)]
        states = steps.init()
        with stacked_stream(datasets, start_step=0, workers=0) as stream:
            for _ in range(2):
                states, logs = steps.train(states, steps.place(next(stream)))
        again = steps.split(steps.stack(steps.split(states)))
        return jax.device_get((again, [logs["loss"][number] for number in range(2)]))

    chex.assert_trees_all_close(steps_on(count), steps_on(1), rtol=1e-4, atol=1e-5)


def test_folds_divide_a_split():
    source = open_source(tiny_config(data__select__first=11).data, "train")
    parts = [select_fold(source, read_fold(f"train[{number}/3]")[1], None).records.indices for number in range(3)]
    assert sorted(index for part in parts for index in part) == list(range(11))
    assert sorted(map(len, parts)) == [3, 4, 4]
    rest = select_fold(source, read_fold("train[!1/3]")[1], None).records.indices
    assert sorted([*rest, *parts[1]]) == list(range(11))
    for wrong in ("train[3/3]", "train[0/1]"):
        with pytest.raises(ValueError, match="is no fold"):
            read_fold(wrong)
    with pytest.raises(ValueError, match="11 images; expected at least one for each of 12 folds"):
        select_fold(source, read_fold("train[0/12]")[1], None)


def test_one_pipeline_gives_each_member_its_own_batches():
    config = tiny_config()
    source = open_source(config.data, "train")
    datasets = [batches.train_dataset(source, config.data, batch_size=4, seed=seed) for seed in (3, 4)]
    with stacked_stream(datasets, start_step=5, workers=0) as stream:
        stacked = next(stream)
    assert stacked.image.shape == (2, 4, 32, 32, 3)
    for number, seed in enumerate((3, 4)):
        with batches.train_batches(source, config.data, batch_size=4, seed=seed, start_step=5) as alone:
            expected = next(alone)
        np.testing.assert_array_equal(stacked.image[number], expected.image)
        np.testing.assert_array_equal(stacked.label[number], expected.label)


def test_the_newest_step_that_all_members_have_is_restored(tmp_path):
    for name, steps in (("seed_0", (2, 4)), ("seed_1", (2,))):
        for step in steps:
            (tmp_path / name / "checkpoints" / str(step)).mkdir(parents=True)
    folders = [tmp_path / "seed_0", tmp_path / "seed_1"]
    assert ensemble.newest_common_step(folders) == 2
    assert ensemble.newest_common_step([*folders, tmp_path / "seed_2"]) == 0
    configs = ensemble.member_configs(tiny_config(train__keep=1), 2, 0)
    assert [config.seed for config in configs.values()] == [0, 1]
    assert all(config.train.keep == 2 for config in configs.values())


@pytest.mark.parametrize(("seeds", "folds"), [(0, 0), (2, 2), (1, 0), (0, 1), (-2, 0)])
def test_numbers_of_members_that_mean_nothing_are_refused(seeds, folds):
    with pytest.raises(ValueError, match=f"--seeds is {seeds} and --folds is {folds}; expected one of them"):
        ensemble.member_configs(tiny_config(), seeds, folds)


@pytest.mark.slow
def test_a_workdir_keeps_the_runs_that_it_has(tmp_path):
    """Runs that were trained together are not mixed with one run, with other seeds or with folds."""
    several, one = tmp_path / "several", tmp_path / "one"
    several.mkdir()
    ensemble.write(several, ["seed_0", "seed_1"], {})
    refused = rf"workdir {several} has the runs seed_0, seed_1, which were trained together; expected "
    with pytest.raises(ValueError, match=refused + "one run"):
        train(tiny_config(), several)
    with pytest.raises(ValueError, match=refused + "seed_0, seed_1, seed_2"):
        train_together(tiny_config(), several, seeds=3)
    with pytest.raises(ValueError, match=refused + "fold_0, fold_1"):
        train_together(tiny_config(), several, folds=2)
    with pytest.raises(ValueError, match=rf"{several} has 2 runs that were trained together.*such as {several}/seed_0"):
        workdir.load(several)
    assert [path.name for path in several.iterdir()] == ["ensemble.json"]
    one.mkdir()
    (one / "config.json").write_text("{}")
    with pytest.raises(ValueError, match=f"workdir {one} has one run; expected several, or none"):
        train_together(tiny_config(), one, seeds=2)


def test_detectors_are_refused(tmp_path):
    with pytest.raises(ValueError, match="task is 'instances'; expected 'semantic' for --seeds"):
        train_together(tiny_detector(), tmp_path, seeds=2)
