"""Protocols that papers and libraries score by, against independent implementations with the same weights and images.

Theirs see one image at a time, without padding, in PyTorch.
"""

import importlib

import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict
from PIL import Image
from random_weights import random_variables
from test_configs import NARROW
from tiny_datasets import write_cityscapes, write_coco
from torch_models import load_into, to_torch
from torchvision_oracle import load_torchvision

from jaxseg.data.sources import open_source
from jaxseg.data.sources.voc import VOC
from jaxseg.evaluate import batches_of
from jaxseg.inference import scoring
from jaxseg.inference.engine import Options
from jaxseg.run.experiment import build, resolve
from jaxseg.types import IGNORE, Record, Source
from jaxseg.weights.mappings import FCN_RESNET
from jaxseg.weights.torchvision import to_state_dict

CITY, GRAY = tuple(map(str, range(19))), np.zeros((19, 3), np.uint8)
MEAN, STD = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)


def page(name, **model):
    """A page's config with a narrow model, to be scored two images at a time."""
    config = importlib.import_module(f"configs.{name}").get_config()
    config.data.update(workers=0, cache=False)
    config.model.update(model)
    config.train.update(batch_size=2, steps=1)
    return config


def lively(experiment):
    """A state and its variables, random but far from trivial."""
    shapes = jax.eval_shape(experiment.task.model.init, jax.random.key(0))
    variables = random_variables(shapes, seed=0)
    return experiment.steps.init(flatten_dict(variables)), variables


def ours(experiment, state, source):
    """The confusion matrix of our evaluation."""
    steps, total = experiment.steps, 0
    with batches_of(experiment, source) as batches:
        for batch in batches:
            totals, _ = steps.fetch(steps.evaluate(state, steps.place(batch)))
            total = total + np.asarray(totals["confusion"], np.int64)
    return total


def normalized(image):
    """A tensor ``[1, 3, h, w]`` of a uint8 image ``[h, w, 3]``."""
    return to_torch((np.asarray(image, np.float32)[None] / 255 - MEAN) / STD)


def theirs(source, classes, logits_and_label):
    """The confusion matrix of an independent evaluation, and how many pixels are ties but for rounding."""
    total, ties = np.zeros((classes, classes), np.int64), 0
    for record in source.records:
        logits, label = logits_and_label(record)
        logits, label = logits[0].detach().numpy(), np.asarray(label)
        counted = label != IGNORE
        np.add.at(total, (label[counted], logits.argmax(0)[counted]), 1)
        second, first = np.partition(logits, -2, axis=0)[-2:]
        ties += int((first - second < 1e-4 * logits.std())[counted].sum())
    return total, ties


def assert_equal_but_for_ties(confusion, expected, ties):
    assert confusion.sum() == expected.sum()
    np.testing.assert_array_equal(confusion.sum(axis=1), expected.sum(axis=1))
    # A pixel that falls elsewhere takes one from a cell and gives one to another.
    assert np.abs(confusion - expected).sum() <= 2 * ties
    assert ties < 2e-3 * expected.sum()
    assert (expected.sum(axis=0) > 0).sum() > 2  # the network predicts several classes


def photographs(sizes, classes):
    """A source of blocks of random colors, with void borders in the label maps as VOC's have."""
    records = []
    for number, (height, width) in enumerate(sizes):
        rng = np.random.default_rng(number)
        blocks = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
        image = np.kron(blocks, np.ones((8, 8, 1), np.uint8))[:height, :width]
        label = np.kron(rng.integers(0, classes, blocks.shape[:2]), np.ones((8, 8)))[:height, :width].astype(np.uint8)
        label[::8] = IGNORE
        records.append(Record(str(number), image, label))
    palette = np.array(list(VOC.classes.values()), np.uint8)
    return Source(records, tuple(VOC.classes), palette)


@pytest.fixture(scope="module")
def fcn8s():
    """Makes an experiment on a narrow FCN-8s, a state of it, and the same network in PyTorch."""
    pytest.importorskip("torch", reason="the independent implementation needs torch")
    from torch_fcn import copied

    def make(config, source):
        config.model.update(NARROW["fcn_vgg"])
        experiment = build_on(config, source)
        state, variables = lively(experiment)
        return experiment, state, copied(variables, len(source.class_names), **NARROW["fcn_vgg"])

    return make


def build_on(config, source):
    """The experiment of a config on the classes of a source."""
    return build(resolve(config, source), source.class_names, source.palette, jax.devices()[:1])


def test_voc_at_native_size_is_scored_as_by_the_fcn_paper(fcn8s):
    """Long et al. 2015: whole images of any size, predictions in their pixels, void pixels left out."""
    source = photographs([(75, 100), (100, 66), (66, 100), (100, 75), (93, 93)], 21)
    experiment, state, network = fcn8s(page("fcn8s_voc_native"), source)
    expected, ties = theirs(source, 21, lambda record: (network(normalized(record.image)), record.label))
    assert_equal_but_for_ties(ours(experiment, state, source), expected, ties)


@pytest.mark.parametrize("name", ["fcn8s_cityscapes_native", pytest.param("fcn8s_cityscapes", marks=pytest.mark.slow)])
def test_cityscapes_is_scored_in_its_own_pixels(fcn8s, tmp_path, name):
    """The server of Cityscapes scores 1024x2048 pixels; logits at half the resolution are enlarged bilinearly."""
    write_cityscapes(tmp_path, [("val", "lindau", number) for number in range(3)])
    config = page(name)
    config.data.source_dir = str(tmp_path)
    if name == "fcn8s_cityscapes":
        config.data.image_size = (16, 20)
    source = open_source(config.data, "val")
    experiment, state, network = fcn8s(config, source)

    def predict(record):
        import cv2
        from torch.nn import functional as F

        if name == "fcn8s_cityscapes_native":
            return network(normalized(record.image)), record.label
        small = cv2.resize(record.image, (20, 16), interpolation=cv2.INTER_LINEAR)
        logits = network(normalized(small))
        return F.interpolate(logits, record.label.shape, mode="bilinear", align_corners=False), record.label

    assert_equal_but_for_ties(ours(experiment, state, source), *theirs(source, 19, predict))


@pytest.mark.slow
def test_cityscapes_by_tiles_is_scored_as_by_a_loop_over_tiles(fcn8s):
    """Tiles of 64 pixels every 32, their logits added with Gaussian weights, one image at a time."""
    source = photographs([(75, 130), (64, 100)], 19)
    source = source._replace(class_names=CITY, palette=GRAY)
    experiment, state, network = fcn8s(page("fcn8s_cityscapes_native"), source)

    def predict(record):
        import torch

        height, width = record.label.shape
        total, weights = torch.zeros(1, 19, height, width), torch.zeros(height, width)
        bell = np.exp(-0.5 * (((np.arange(64) + 0.5) / 64 - 0.5) * 8) ** 2)
        window = torch.from_numpy(np.outer(bell, bell).astype(np.float32))
        for top in range(0, height - 32, 32):
            for left in range(0, width - 32, 32):
                logits = network(normalized(record.image[top : top + 64, left : left + 64]))
                rows, columns = logits.shape[2:]
                total[:, :, top : top + 64, left : left + 64] += logits * window[:rows, :columns]
                weights[top : top + 64, left : left + 64] += window[:rows, :columns]
        return total / weights, record.label

    expected, ties = theirs(source, 19, predict)
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring.metrics, "result", lambda total: found.append(total))
        scoring.score_predictions(
            scoring.local_model(experiment, state), experiment.task.metric, source, Options(tile=64)
        )
    assert_equal_but_for_ties(found[0], expected, ties)


def reference_target(annotations, size):
    """The label map of torchvision's ``ConvertCocoPolysToMask``, by pycocotools."""
    import torch
    from pycocotools import mask as coco_mask

    categories = [0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72]
    masks, classes = [], []
    for one in annotations:
        if one["category_id"] not in categories:
            continue
        codes = coco_mask.frPyObjects(one["segmentation"], *size)
        mask = torch.as_tensor(np.array(coco_mask.decode(codes)))
        masks.append(mask.any(dim=2) if mask.ndim == 3 else mask.bool())
        classes.append(categories.index(one["category_id"]))
    if not masks:
        return Image.fromarray(np.zeros(size, np.uint8))
    masks = torch.stack(masks).to(torch.uint8)
    target, _ = (masks * torch.as_tensor(classes, dtype=torch.uint8)[:, None, None]).max(dim=0)
    target[masks.sum(0) > 1] = 255
    return Image.fromarray(target.numpy())


def reference_evaluation(torchvision, coco, source, network, side):
    """What ``references/segmentation`` of torchvision does, with its own functions: its matrix, and ties."""
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms import functional as F

    number_of = {image.name: number for number, image in enumerate(coco.records.images)}

    def predict(record):
        image = F.resize(Image.fromarray(record.image), side, antialias=True)
        annotations = coco.records.annotations(number_of[record.name])
        target = reference_target(annotations, record.image.shape[:2])
        target = F.resize(target, side, interpolation=InterpolationMode.NEAREST)
        tensor = F.normalize(F.convert_image_dtype(F.pil_to_tensor(image)), MEAN.tolist(), STD.tolist())
        with torchvision.torch.inference_mode():
            return network(tensor[None]), target

    return theirs(source, 21, predict)


def narrow(network, factor):
    """Divides the channels of torchvision's FCN by a factor; its layers and its forward pass stay torchvision's."""
    from torch import nn

    for path, module in list(network.named_modules()):
        parent, name = network.get_submodule(path.rpartition(".")[0]), path.rpartition(".")[2]
        if isinstance(module, nn.BatchNorm2d):
            setattr(parent, name, nn.BatchNorm2d(module.num_features // factor))
        if isinstance(module, nn.Conv2d):
            channels = [c if c in (3, 21) else c // factor for c in (module.in_channels, module.out_channels)]
            options = {field: getattr(module, field) for field in ("kernel_size", "stride", "padding", "dilation")}
            setattr(parent, name, nn.Conv2d(*channels, **options, bias=module.bias is not None))
    return network


def coco_config(folder, name="fcn_resnet50_coco_voc"):
    config = page(name)
    config.data.source_dir = str(folder)
    return config


def opened(config, split):
    """A split with VOC's classes, and the same as COCO's objects."""
    objects = config.data.copy_and_resolve_references()
    objects.name = "coco"
    objects.select.first = 0
    return open_source(config.data, split), open_source(objects, split)


@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_the_reference_evaluation_of_torchvision_small(fcn8s, tmp_path):
    torchvision = load_torchvision()
    write_coco(tmp_path, [(40, 64), (70, 44), (31, 75)], splits=("val",))
    config = coco_config(tmp_path)
    config.data.image_size = (48, 48)
    config.model = {"name": "fcn_vgg"}
    config.optimizer.factors = ()
    source, coco = opened(config, "val")
    experiment, state, network = fcn8s(config, source)
    assert_equal_but_for_ties(
        ours(experiment, state, source), *reference_evaluation(torchvision, coco, source, network, 48)
    )


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation")
def test_the_reference_evaluation_of_torchvision_on_photographs(shared_data):
    """Sixteen photographs at 520 pixels through torchvision's own FCN-ResNet50, an eighth as wide."""
    torchvision = load_torchvision()
    config = coco_config(shared_data / "coco_tiny")
    config.data.select.first = 16
    config.model.width = 8
    source, coco = opened(config, "val")
    assert len(source.records) == 16
    experiment = build_on(config, source)
    state, variables = lively(experiment)
    network = torchvision.models.get_model("fcn_resnet50", weights=None, weights_backbone=None, aux_loss=True)
    network = load_into(narrow(network, 8), to_state_dict(variables, FCN_RESNET))
    expected, ties = reference_evaluation(torchvision, coco, source, lambda x: network(x)["out"], 520)
    # Tests compile without optimization, which takes longer than it saves with images of this size.
    evaluate = jax.jit(experiment.steps.evaluate, compiler_options={"xla_backend_optimization_level": 2})
    experiment = experiment._replace(steps=experiment.steps._replace(evaluate=evaluate))
    confusion = ours(experiment, state, source)
    print(f"{expected.sum()} pixels, {np.abs(confusion - expected).sum() // 2} elsewhere, {ties} ties")
    assert_equal_but_for_ties(confusion, expected, ties)
