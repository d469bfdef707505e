import hashlib
import io
import tarfile

import pytest

from jaxseg.data.download import Archive, fetch, unpack


def tar(mode="w", **members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, body in members.items():
            member = tarfile.TarInfo(f"folder/{name}")
            member.size = len(body)
            archive.addfile(member, io.BytesIO(body))
    return buffer.getvalue()


def described(url, body):
    return Archive(url, len(body), hashlib.sha256(body).hexdigest())


def test_a_good_archive_is_fetched_once_and_unpacked(serve, tmp_path, capsys):
    body = tar(a=b"hello", b=bytes(5000))
    files = {"/x/pets.tar.gz": body}
    archive = described(serve(files) + "/x/pets.tar.gz", body)
    path = fetch(archive, tmp_path / "downloads")
    assert path.read_bytes() == body
    assert "pets.tar.gz: 100%" in capsys.readouterr().err
    files.clear()
    assert fetch(archive, tmp_path / "downloads") == path
    unpack(path, tmp_path / "out")
    assert (tmp_path / "out/folder/a").read_bytes() == b"hello"


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_any_compression_whatever_the_name(tmp_path, mode):
    (tmp_path / "x.tar.gz").write_bytes(tar(mode, a=b"1"))
    unpack(tmp_path / "x.tar.gz", tmp_path / "out")
    assert (tmp_path / "out/folder/a").read_bytes() == b"1"


@pytest.mark.parametrize(
    ("path", "change", "message"),
    [
        ("/missing.tar", {}, "cannot download .*/missing.tar: .*404"),
        ("/torn/pets.tar", {}, "came with 5120 bytes; expected 10240|cannot download .*IncompleteRead"),
        ("/pets.tar", {"size": 20000}, "came with 10240 bytes; expected 20000"),
        ("/pets.tar", {"sha256": "0" * 64}, "came with the SHA-256 [0-9a-f]{64}; expected 0000"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(serve, tmp_path, path, change, message):
    body = tar(a=b"hello")
    archive = described(serve({"/pets.tar": body}) + path, body)._replace(**change)
    with pytest.raises(ValueError, match=message):
        fetch(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_interruption_leaves_nothing_behind(serve, tmp_path, monkeypatch):
    body = tar(a=b"hello")
    archive = described(serve({"/pets.tar": body}) + "/pets.tar", body)

    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("jaxseg.data.download._check", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_is_fetched_again(serve, tmp_path):
    body = tar(a=b"hello")
    archive = described(serve({"/pets.tar": body}) + "/pets.tar", body)
    (tmp_path / "pets.tar").write_bytes(body[:100])
    assert fetch(archive, tmp_path).read_bytes() == body


def test_nobody_answers(tmp_path):
    with pytest.raises(ValueError, match=r"cannot download http://127\.0\.0\.1:9/pets\.tar"):
        fetch(Archive("http://127.0.0.1:9/pets.tar", 1, ""), tmp_path)


@pytest.mark.parametrize(
    "body",
    [b"no archive at all", tar(a=bytes(9000))[:2000], tar("w:gz", a=bytes(9000))[:60]],
    ids=["text", "cut", "compressed and cut"],  # a compressed one's bytes hold the time, and would be its name
)
def test_a_broken_archive(tmp_path, body):
    (tmp_path / "pets.tar.gz").write_bytes(body)
    with pytest.raises(ValueError, match=r"pets.tar.gz is not a whole tar archive"):
        unpack(tmp_path / "pets.tar.gz", tmp_path / "out")
