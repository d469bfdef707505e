"""From a photograph of any size to what people keep of it, one module a kind of segmentation."""

from jaxseg.inference import instances, semantic

PREDICTORS = {"semantic": semantic.make_predictor, "instances": instances.make_predictor}
EXAMPLES = {"semantic": semantic.draw_examples, "instances": instances.draw_examples}
