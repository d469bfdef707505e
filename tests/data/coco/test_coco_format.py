import io
import json
from contextlib import redirect_stdout

import numpy as np
import pytest
from drawn_objects import drawn_source
from pycocotools.coco import COCO

from jaxseg.data.coco.format import ground_truth


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools, under numpy 2
def test_the_records_come_back_from_the_official_reader(tmp_path):
    source = drawn_source([(40, 60), (30, 30), (50, 20)], [3, 0, 2])
    path = tmp_path / "truth.json"
    path.write_text(json.dumps(ground_truth(source)))
    with redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["a", "b"]
    assert 0 not in coco.anns
    for index, record in enumerate(source.records):
        entries = coco.loadAnns(coco.getAnnIds(imgIds=[index]))
        assert len(entries) == len(record.objects.classes)
        objects = record.objects
        for i, entry in enumerate(entries):
            x, y, width, height = entry["bbox"]
            np.testing.assert_array_equal([x, y, x + width, y + height], objects.boxes[i])
            assert entry["category_id"] == objects.classes[i]
            assert entry["iscrowd"] == objects.crowd[i]
            assert entry["area"] == objects.masks[i].sum()
            np.testing.assert_array_equal(coco.annToMask(entry), objects.masks[i])
    assert [(image["height"], image["width"]) for image in coco.dataset["images"]] == [(40, 60), (30, 30), (50, 20)]
