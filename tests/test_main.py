"""The command line: quick help, and one clear line for whatever cannot be done."""

import subprocess
import sys

import pytest


def command(root, *arguments):
    """Runs the command; its exit status and what it wrote to stderr, a list of lines."""
    done = subprocess.run(
        [sys.executable, "-m", "jaxseg.main", *map(str, arguments)], cwd=root, capture_output=True, text=True
    )
    return done.returncode, done.stderr.strip().splitlines()


def test_help_imports_nothing_heavy(root):
    code = (
        "import sys, runpy; sys.argv = ['main', '--help']\n"
        "try: runpy.run_module('jaxseg.main', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jax', 'flax', 'grain', 'cv2', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert "--workdir" in done.stdout
    assert done.stdout.strip().splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        (("--config=configs/no_such.py",), "no_such.py"),
        (("--config=configs/unet_shapes.py", "--config.trian.steps=3"), "Did you mean train.steps"),
        (("--config=configs/unet_shapes.py", "--config.train.step=3"), "Did you mean train.steps"),
        (("--config=configs/unet_shapes.py", "--config.train.steps=many"), "'many'"),
        (("--config=configs/unet_shapes.py", "train"), "unexpected argument 'train'"),
    ],
    ids=str,
)
def test_a_flag_that_cannot_be_read_is_named(root, tmp_path, fields, named):
    status, said = command(root, *fields, "--workdir", tmp_path / "run")
    assert status == 2
    assert named in said[0]
    assert len(said) == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"train.batch_size": 12}, "train.batch_size is 12.*take 16"),
        ({"model.depth": 0, "model.name": "unett"}, "model.name is 'unett'; known are .*unet"),
        ({"model.depth": 9}, "model.depth is 9; expected at most 5 for training images with a side of 32"),
        ({"optimizer.learning_rate": -1.0}, "optimizer.learning_rate is -1.0; expected more than 0"),
        ({"data.name": "shape"}, "data.name is 'shape'"),
        ({"data.image_size": (0,)}, "data.image_size"),
        ({"train.steps": 0}, "train.steps is 0"),
        ({"precision": "float16"}, "precision is 'float16'.*bfloat16"),
        ({"parallel": "vmap"}, "parallel is 'vmap'.*pmap"),
        ({"task": "panoptic"}, "task is 'panoptic'.*semantic"),
        ({"train.best_metric": "miou"}, "train.best_metric is 'miou'.*mean_iou"),
        ({"loss.cross_entropy": 0.0}, "every term the weight 0"),
        ({"mesh.data": 3}, "mesh .data=3.* 8 device"),
    ],
    ids=str,
)
def test_a_config_that_contradicts_itself_is_refused_before_anything_is_written(tmp_path, fields, named):
    from experiments import tiny_config

    from jaxseg.train import train

    config = tiny_config()
    config.update_from_flattened_dict(fields)
    with pytest.raises(ValueError, match=named):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
