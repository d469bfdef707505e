"""Videos in, overlaid videos and lines of JSON out, frame by frame in order."""

import json
import shutil

import cv2
import numpy as np
import pytest
from test_predict_files import Thresholder

from jaxseg.commands.prediction import predict
from jaxseg.inference import video
from jaxseg.inference.result_writer import Outputs
from jaxseg.inference.video import open_video, predict_video, read_frames


@pytest.fixture
def film(tmp_path):
    """Twelve frames: a bright bar grows from the left by eight pixels per frame."""
    path = tmp_path / "growing bar.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (96, 64))
    assert writer.isOpened()
    for number in range(12):
        frame = np.zeros((64, 96, 3), np.uint8)
        frame[:, : 8 * number] = 255
        writer.write(frame)
    writer.release()
    return path


def test_each_frame_has_a_line_and_a_picture_in_order(film, tmp_path):
    told, counts = [], []
    paths = predict_video(
        Thresholder(), str(film), tmp_path / "out", begin=counts.append, say=lambda *frame: told.append(frame[0])
    )
    assert (counts, told) == ([12], list(range(12)))
    lines = [json.loads(line) for line in paths["frames"].read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(12))
    assert lines[3]["time"] == 0.3
    widths = [line["results"][0]["classes"][1]["area"] / 64 for line in lines]
    np.testing.assert_allclose(widths, np.arange(12) * 8, atol=1)
    again = list(read_frames(open_video(str(paths["overlay"]))))
    assert (len(again), again[0].shape) == (12, (64, 96, 3))
    assert again[-1][32, 10].tolist() != again[-1][32, 94].tolist()


def test_stopping_ends_the_video_where_it_is(film, tmp_path):
    told = []
    stops = {"say": lambda *frame: told.append(frame), "stopped": lambda: len(told) >= 2}
    paths = predict_video(Thresholder(), str(film), tmp_path / "out", **stops)
    assert 2 <= len(paths["frames"].read_text().splitlines()) < 12
    assert len(list(read_frames(open_video(str(paths["overlay"]))))) == len(told)
    assert sorted((tmp_path / "out").iterdir()) == sorted(paths.values())


@pytest.mark.parametrize(("size", "written"), [((1, 1), (2, 2)), ((33, 47), (34, 48)), ((1, 640), (2, 640))])
def test_frames_of_odd_sizes_keep_all_rows_and_columns(film, tmp_path, monkeypatch, size, written):
    frames = [np.full((*size, 3), value, np.uint8) for value in (0, 250)]
    monkeypatch.setattr(video, "read_frames", lambda *_: iter(frames))
    paths = predict_video(Thresholder(), str(film), tmp_path / "out")
    lines = [json.loads(line)["results"][0] for line in paths["frames"].read_text().splitlines()]
    assert [(one["height"], one["width"]) for one in lines] == [size, size]
    assert [one["classes"][1]["share"] for one in lines] == [0, 1]
    monkeypatch.undo()
    assert [frame.shape for frame in read_frames(open_video(str(paths["overlay"])))] == [(*written, 3)] * 2


def test_what_is_no_video_is_refused(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(ValueError, match="cannot be opened as a video"):
        predict_video(Thresholder(), str(tmp_path / "text.mp4"), tmp_path / "out")


def test_videos_of_the_same_name_keep_their_own_files(film, tmp_path):
    other = tmp_path / "other" / film.name
    other.parent.mkdir()
    shutil.copy(film, other)
    assert predict(Thresholder, [str(film), str(other)], tmp_path / "out") == 0
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"growing_bar.jsonl", "growing_bar_2.jsonl", "growing_bar_overlay.mp4", "growing_bar_2_overlay.mp4"}


def test_the_command_takes_videos(film, tmp_path, capsys):
    assert predict(Thresholder, [str(film)], tmp_path / "out") == 0
    assert "growing_bar_overlay.mp4" in capsys.readouterr().out
    with pytest.raises(ValueError, match="images and the video"):
        predict(Thresholder, [str(film), "a.jpg"], tmp_path / "out")
    with pytest.raises(ValueError, match="--polygons is given for the video"):
        predict(Thresholder, [str(film)], tmp_path / "out", outputs=Outputs(polygons=True))
