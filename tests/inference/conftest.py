"""Fixtures of the tests of predictions."""

import json
import pathlib
import shutil

import pytest


@pytest.fixture(scope="session")
def ensemble_runs(trained, tmp_path_factory) -> pathlib.Path:
    """The folder of two runs of the tiny config with seeds 0 and 1, as ``train --seeds 2`` lays them out."""
    from experiments import tiny_config

    from jaxseg.train import train

    folder = tmp_path_factory.mktemp("runs")
    shutil.copytree(trained[0], folder / "seed_0")
    train(tiny_config(seed=1), folder / "seed_1")
    (folder / "ensemble.json").write_text(json.dumps({"members": ["seed_0", "seed_1"]}))
    return folder
