import pytest

from configs.base import get_config


@pytest.fixture
def data(tmp_path):
    """The data section of a config, with a folder for the data set's files."""
    config = get_config().data
    config.dir = str(tmp_path / "data")
    config.source_dir = str(tmp_path / "files")
    (tmp_path / "files").mkdir()
    return config


@pytest.fixture
def files(data, tmp_path):
    """The folder of the data set's files."""
    return tmp_path / "files"
