"""What a predictor returns for one image, in the image's own pixels.

Both kinds of result have ``image``, ``mask``, ``class_ids``, ``class_names``, ``boxes``, ``masks`` and ``scores``. Both
can draw themselves, save themselves and turn themselves into COCO results.

    >>> import numpy as np
    >>> from jaxseg.inference import SemanticResult
    >>> image, mask = np.zeros((2, 4, 3), np.uint8), np.array([[0, 0, 1, 1], [0, 0, 0, 1]], np.uint8)
    >>> result = SemanticResult(image, mask, ("background", "cat"), np.array([[0, 0, 0], [255, 0, 0]], np.uint8))
    >>> result.summary
    'background 62.5%, cat 37.5%'
    >>> result.boxes.tolist()
    [[0.0, 0.0, 3.0, 2.0], [2.0, 0.0, 4.0, 2.0]]
    >>> result.overlay().shape
    (2, 4, 3)
"""

from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.semantic_result import SemanticResult

Result = SemanticResult | InstanceResult
