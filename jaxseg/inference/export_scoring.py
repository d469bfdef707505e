"""Scores an exported model on a split, as its run is scored."""

from typing import Any

import numpy as np

from jaxseg.data.semantic.batches import eval_batches
from jaxseg.data.semantic.sizing import scores_original
from jaxseg.data.semantic.transforms import image_size
from jaxseg.inference.exported import ExportedPredictor
from jaxseg.inference.label_map_scoring import confusion_matrix, score_label_maps
from jaxseg.inference.scoring import score_detections
from jaxseg.metrics import semantic as metrics
from jaxseg.tasks import make_task
from jaxseg.types import IGNORE, Source


def score_export(predictor: ExportedPredictor, data_config: Any, source: Source) -> dict[str, Any]:
    """Returns the scores of an exported model, all but the loss.

    A semantic model is scored where its run was: at ``data.image_size``, or in the pixels of the files.

    Args:
      predictor: the exported model.
      data_config: ``config.data`` of the split.
      source: the split.

    Raises:
      ValueError: an image cannot be read, or the model takes images of another size.
    """
    trained = predictor.trained
    if predictor.task == "instances":
        # Making a task initializes no parameters.
        metric = make_task(trained.config, trained.class_names, trained.palette).metric
        return score_detections(predictor.engine(), metric, source)[0]
    if scores_original(data_config):
        return score_label_maps(predictor.engine(), len(trained.class_names), source)
    return _score_at_network(predictor, data_config, source)


def _score_at_network(predictor: ExportedPredictor, data_config: Any, source: Source) -> dict[str, Any]:
    """Scores label maps of ``data.image_size``. A model of valid convolutions does not predict their borders."""
    size, count = image_size(data_config), len(predictor.class_names)
    if predictor.size not in (None, size):
        raise ValueError(
            f"the exported model takes images of {predictor.size}; expected any size or data.image_size, which is "
            f"{size}. Export it again without --size, or set data.score_at=original."
        )
    height, width = predictor.export.description.get("predicted") or size
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    total = metrics.start(count)
    with eval_batches(source, data_config, batch_size=predictor.trained.config.train.batch_size) as batches:
        for batch in batches:
            found = predictor.call(batch.image)["label"]
            truth = np.where(np.asarray(batch.valid)[:, None, None], batch.label, IGNORE)
            seen = (slice(top, top + height), slice(left, left + width))
            for one, label in zip(truth, found, strict=True):
                total = metrics.add(total, confusion_matrix(one[seen], label[seen], count))
    return metrics.result(total)
