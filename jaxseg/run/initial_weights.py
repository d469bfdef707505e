"""Initial weights of a fresh run, named by ``config.init.weights``.

They come from a file of torchvision, or from the workdir of a run of the same model. The staged training of the FCN
paper uses the latter: FCN-16s is initialized from FCN-32s, and FCN-8s from FCN-16s.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict

from jaxseg.data.coco import classes as coco_classes
from jaxseg.data.sources import voc
from jaxseg.models.fcn_resnet import FCNResNet
from jaxseg.models.fcn_vgg import FCNVGG
from jaxseg.models.mask_rcnn.model import MaskRCNN
from jaxseg.models.unet import UNet
from jaxseg.models.unet_resnet import UNetResNet
from jaxseg.run import checkpoint_reader, workdir
from jaxseg.run.experiment import Experiment
from jaxseg.storage import as_path
from jaxseg.weights import mappings, torchvision
from jaxseg.weights.files import find_weights, frozen_norm_epsilon, read_checkpoint
from jaxseg.weights.mappings import NOTHING

Variable = tuple[str, ...]  # (collection, module, ..., leaf)


class Origin(NamedTuple):
    """A kind of state dict that a model can be initialized from.

    Attributes:
      name: the usual name of such a network.
      mark: an entry that other kinds do not have.
      mapping: from its names to those of the whole model.
      part: a regular expression of the modules that it has weights for.
    """

    name: str
    mark: str
    mapping: mappings.Mapping
    part: str = r".*"


class Family(NamedTuple):
    """What a model can be initialized from.

    Attributes:
      origins: gives the kinds of state dict for a model of this type.
      heads: a regular expression of the modules with outputs per class. Weights of other classes leave them random.
      variants: a regular expression of the modules that only some models of this type have.
    """

    origins: Callable[[Any], tuple[Origin, ...]] = lambda model: ()
    heads: str = NOTHING
    variants: str = NOTHING


class InitialWeights(NamedTuple):
    """Initial weights of a run.

    Attributes:
      variables: numpy arrays by path; variables that are not among them are random.
      message: a line for the console; "" if everything is random.
    """

    variables: dict[Variable, np.ndarray]
    message: str


def _resnet(model: nn.Module) -> Origin:
    return Origin(f"a ResNet-{model.depth}", "layer1.0.conv1.weight", mappings.RESNET_AS_BACKBONE, r"backbone/.*")


def _fcn_resnet(model: FCNResNet) -> tuple[Origin, ...]:
    whole = Origin(f"an FCN-ResNet-{model.depth}", "classifier.4.weight", mappings.FCN_RESNET)
    return whole, _resnet(model)


def _fcn_vgg(model: FCNVGG) -> tuple[Origin, ...]:
    # The second convolution's number tells the two apart: norms are numbered too.
    part = r"backbone/.*|fc6|fc7"
    if model.batch_norm:
        return (Origin("a VGG16 with batch norm", "features.3.weight", mappings.VGG16_BN_AS_FCN, part),)
    return (Origin("a VGG16 without batch norm", "features.2.weight", mappings.VGG16_AS_FCN, part),)


def _mask_rcnn(model: MaskRCNN) -> tuple[Origin, ...]:
    mapping = {1: mappings.MASK_RCNN_V1, 2: mappings.MASK_RCNN_V2}[model.version]
    whole = Origin("a Mask R-CNN", "roi_heads.box_predictor.cls_score.weight", mapping)
    return whole, _resnet(model)


FAMILIES = {
    UNet: Family(heads="head"),
    UNetResNet: Family(lambda model: (_resnet(model),), heads="head"),
    FCNVGG: Family(_fcn_vgg, heads=r"score_.*|up_.*", variants=r"score_pool\d|up_.*"),
    FCNResNet: Family(_fcn_resnet, heads=r"(aux_)?classifier/score", variants=r"aux_classifier/.*"),
    MaskRCNN: Family(_mask_rcnn, heads=r"box_head/(cls_score|bbox_pred)|mask_head/mask_fcn_logits"),
}


# The classes of torchvision's files, by model and number of classes.
TORCHVISION_CLASSES = {
    (MaskRCNN, len(coco_classes.CLASS_NAMES)): coco_classes.CLASS_NAMES,
    (FCNResNet, len(voc.CLASS_NAMES)): voc.CLASS_NAMES,
}


def set_norm_epsilon(config: Any, folder: Path) -> None:
    """Sets ``config.model.norm_epsilon`` of a detector with frozen norms to what its initial weights were trained with.

    Args:
      config: the whole config, which is changed.
      folder: the workdir. A run that resumes needs its initial weights no longer and keeps its epsilon.

    Raises:
      ValueError: the weights are missing.
    """
    model, weights = config.model, config.init.weights
    if model.name != "mask_rcnn" or model.get("norm") != "frozen" or not weights:
        return
    with config.unlocked():
        if (folder / "config.json").exists():
            model.norm_epsilon = workdir.load(folder)[0].model.norm_epsilon
        elif not as_path(weights).is_dir():
            model.norm_epsilon = frozen_norm_epsilon(find_weights(weights))


def load_initial_weights(
    config: Any, model: nn.Module, shapes: dict[str, Any], class_names: Sequence[str] = ()
) -> InitialWeights:
    """Reads the weights that ``config.init.weights`` names.

    Heads are kept only if the weights are of the same classes in the same order. The classes of a run are known by
    name. Those of torchvision's files are known by their number: 91 are COCO's, 21 are Pascal VOC's. Heads of files
    with another number of classes are kept if their shape fits, since such files name no classes.

    Args:
      config: the whole config.
      model: the module to initialize.
      shapes: the shapes of its variables, by collection.
      class_names: the classes of this run; () compares shapes only.

    Raises:
      ValueError: there is no such file, name or run, or it does not fit the model. Entries that are missing, left over
        or of another shape are listed.
    """
    weights = config.init.weights
    if not weights:
        return InitialWeights({}, "")
    family = FAMILIES.get(type(model), Family())
    leaves = flatten_dict(shapes)
    notes: tuple[str, ...] = ()
    if (run := as_path(weights)).is_dir():
        given = _of_run(run, config.model.name, leaves, family)
        source_classes = workdir.load(run)[1]
    else:
        checkpoint = read_checkpoint(find_weights(weights))
        given, notes = _of_file(weights, checkpoint.arrays, model, leaves, family), checkpoint.notes
        source_classes = TORCHVISION_CLASSES.get((type(model), len(class_names)), ())
    if class_names and source_classes and tuple(source_classes) != tuple(class_names):
        heads = [path for path in given if re.fullmatch(family.heads, _module(path))]
        given = {path: array for path, array in given.items() if path not in heads}
        notes = (*notes, "its classes have other names, so that its heads are not used") if heads else notes
    missing = _outermost(leaves.keys() - given.keys(), given)
    random = [f"random: {', '.join(missing)}"] if missing else []
    return InitialWeights(given, "; ".join([f"initialized from {weights}", *random, *notes]))


def _of_file(
    weights: str, state: dict[str, np.ndarray], model: nn.Module, leaves: dict[Variable, Any], family: Family
) -> dict[Variable, np.ndarray]:
    """Returns the variables that a state dict of torchvision has for the model."""
    path = find_weights(weights)
    origins = family.origins(model)
    fitting = [origin for origin in origins if origin.mark in state]
    if not fitting:
        known = " or ".join(
            [*(f"the weights of {origin.name}" for origin in origins), "the workdir of one of its runs"]
        )
        raise ValueError(
            f"init.weights is {weights!r}, a file of another network (it begins with {next(iter(state), None)!r}); "
            f"expected {known}."
        )
    origin = fitting[0]
    if isinstance(model, MaskRCNN) and model.norm == "frozen" and model.norm_epsilon != frozen_norm_epsilon(path):
        raise ValueError(
            f"the frozen norms of {weights} need another epsilon: set model.norm_epsilon to {frozen_norm_epsilon(path)}"
        )
    part = {p: leaf for p, leaf in leaves.items() if re.fullmatch(origin.part, _module(p))}
    try:
        return torchvision.convert_leaves(state, unflatten_dict(part), origin.mapping)
    except ValueError as error:
        raise ValueError(f"init.weights is {weights!r}, taken for {origin.name}. {error}") from None


def initial_weights_of(experiment: Experiment, folder: Path) -> InitialWeights:
    """Returns what ``config.init`` gives to a fresh run, and nothing for one that resumes."""
    if checkpoint_reader.saved_steps(folder):
        return InitialWeights({}, "")
    state, task = experiment.steps.abstract_state, experiment.task
    shapes = {"params": state.params, "batch_stats": state.batch_stats}
    return load_initial_weights(experiment.config, task.model.module, shapes, task.classes.names)


def _of_run(folder: Path, name: str, leaves: dict[Variable, Any], family: Family) -> dict[Variable, np.ndarray]:
    """Returns the variables that the newest checkpoint of a run has for the model: averages if the run keeps them."""
    other = workdir.load(folder)[0].model.name
    if other != name:
        raise ValueError(f"init.weights is the run {folder} of the model {other}; expected a run of the model {name}.")
    saved = checkpoint_reader.read_newest(folder)
    state = flatten_dict(saved["ema"] or {name: saved[name] for name in ("params", "batch_stats")})
    given, problems = {}, []
    for path in sorted(leaves.keys() | state.keys()):
        entry, module = "/".join(path[1:]), _module(path)
        expected, other = leaves.get(path), state.get(path)
        if expected is None or other is None:
            if not re.fullmatch(family.variants, module):
                problems.append(f"  {entry}: {'not expected' if expected is None else 'missing'}")
        elif expected.shape == other.shape:
            given[path] = other
        elif not re.fullmatch(family.heads, module):
            problems.append(f"  {entry}: shape {other.shape}, expected {expected.shape}")
    if problems:
        raise ValueError(f"The run {folder} does not fit the model:\n" + "\n".join(problems))
    return given


def _module(path: Variable) -> str:
    """Returns the module of a variable, such as "backbone/conv1"."""
    return "/".join(path[1:-1])


def _outermost(missing: Iterable[Variable], given: Iterable[Variable]) -> list[str]:
    """Returns the modules of the missing variables, each named by the outermost module that has nothing given."""
    known = {path[1:end] for path in given for end in range(len(path))}
    names = {next(path[1:end] for end in range(2, len(path) + 1) if path[1:end] not in known) for path in missing}
    return ["/".join(name) for name in sorted(names)]
