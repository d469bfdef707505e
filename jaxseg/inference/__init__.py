"""From a trained model to results: ``load`` returns a ``Predictor``, which returns a result per image."""

from jaxseg.inference import instances, semantic
from jaxseg.inference.instance_result import InstanceResult
from jaxseg.inference.predictor import Predictor, load
from jaxseg.inference.semantic_result import SemanticResult

EXAMPLE_PANELS = {"semantic": semantic.example_panels, "instances": instances.example_panels}
EXAMPLES = {"semantic": semantic.draw_examples, "instances": instances.draw_examples}

__all__ = ["EXAMPLES", "EXAMPLE_PANELS", "InstanceResult", "Predictor", "SemanticResult", "load"]
