"""Places, retries and growing files, without a bucket."""

import pytest

from jaxseg import storage
from jaxseg.storage import lines, retries
from jaxseg.storage.retries import may_pass, retried


class HttpError(Exception):
    """An error as gcsfs raises it, which is no OSError."""

    __module__ = "gcsfs.retry"

    def __init__(self, code):
        super().__init__(f"answer {code}")
        self.code = code


@pytest.fixture
def pauses(monkeypatch):
    """The pauses that were made, on a clock that only they move."""
    made = []
    monkeypatch.setattr(retries.time, "sleep", made.append)
    monkeypatch.setattr(retries.time, "monotonic", lambda: sum(made))
    return made


def fail_with(*errors):
    """A function that raises these errors one after the other and then returns 7."""
    left = list(errors)

    def work():
        if left:
            raise left.pop(0)
        return 7

    return work


def test_a_refusal_that_passes_is_repeated_with_growing_pauses(pauses):
    assert retried(fail_with(HttpError(503), ConnectionResetError(), TimeoutError(), HttpError(429))) == 7
    assert pauses == [0.5, 1, 2, 4]


def test_a_refusal_that_does_not_pass_ends_after_the_patience(pauses):
    with pytest.raises(OSError, match="refused for too long: answer 503"):
        retried(fail_with(*[HttpError(503)] * 1000), patience=100)
    assert 60 < sum(pauses) <= 100


@pytest.mark.parametrize(
    "error", [PermissionError("no"), HttpError(403), HttpError("401"), OSError("Forbidden: bucket/a")]
)
def test_missing_permission_is_said_at_once(pauses, error):
    with pytest.raises(PermissionError):
        retried(fail_with(error))
    assert pauses == []


@pytest.mark.parametrize(
    "error",
    [FileNotFoundError("a"), FileExistsError("a"), ValueError("a"), HttpError(404), HttpError(412), HttpError(416)],
)
def test_other_errors_are_not_repeated(pauses, error):
    assert not may_pass(error)
    with pytest.raises(type(error)):
        retried(fail_with(error))
    assert pauses == []


def test_a_bucket_without_its_package_is_one_line_that_names_the_extra(monkeypatch):
    monkeypatch.setattr(storage.importlib.util, "find_spec", lambda name: None)
    for url, extra in (("gs://bucket/run", "gcs"), ("s3://bucket/run", "s3")):
        with pytest.raises(ValueError, match=rf"{url} needs \w+fs, which is not installed.*'jaxseg\[{extra}\]'"):
            storage.as_path(url)
    with pytest.raises(ValueError, match="ftp://host/run is no folder; expected .*gs:// or s3://"):
        storage.as_path("ftp://host/run")


class Object:
    """An object of a bucket, or a bucket that is down."""

    def __init__(self):
        self.content, self.writes, self.down = b"first\n", 0, False

    def __fspath__(self):
        return "gs://bucket/lines"

    def exists(self):
        return True

    def read_text(self):
        return self.content.decode()

    def write_bytes(self, content):
        if self.down:
            raise HttpError(403)
        self.content, self.writes = content, self.writes + 1


def test_lines_of_a_bucket_are_written_together_and_all_of_them_by_a_flush():
    path = Object()
    file = lines.open_lines(path)
    for number in range(100):
        file.write(str(number))
    file.flush()
    assert path.content.decode().splitlines() == ["first", *map(str, range(100))]
    assert path.writes <= 2
    file.flush()
    assert path.writes <= 2, "nothing was new"
    path.down = True
    file.write("last")
    with pytest.raises(PermissionError):
        file.flush()
    path.down = False
    file.close()
    assert path.content.decode().endswith("99\nlast\n")


def test_lines_of_a_disk_are_there_at_once(tmp_path):
    (tmp_path / "lines").write_text("first\n")
    file = lines.open_lines(tmp_path / "lines")
    file.write("second")
    assert (tmp_path / "lines").read_text() == "first\nsecond\n"
    file.close()


def test_files_are_written_whole(tmp_path):
    storage.write_text(tmp_path / "a.txt", "grün")
    storage.write_bytes(tmp_path / "a.txt", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]
    assert (tmp_path / "a.txt").read_bytes() == b"new"
