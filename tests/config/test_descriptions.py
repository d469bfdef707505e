"""Every field has a description; those of defaults come from their comments, those of models from their classes."""

import re

import pytest

from jaxseg import config as defaults
from jaxseg.config.changes import field_names
from jaxseg.config.descriptions import descriptions
from jaxseg.models import fields


@pytest.mark.parametrize("config", [defaults.semantic(), defaults.detector()], ids=["semantic", "detector"])
def test_every_field_is_described_in_short_sentences(config):
    known = descriptions(config.task)
    assert [name for name in field_names(config) if not known.get(name)] == []
    for name, text in known.items():
        assert text[0].isupper() or text[0] == '"', name
        assert text.endswith("."), name
        assert all(len(sentence.split()) <= 25 for sentence in re.split(r"[.;:] ", text)), name


def test_a_description_is_the_comment_behind_or_above_a_field():
    assert descriptions("semantic")["train.accumulate"] == (
        'Microbatches per step. More need less memory; "auto" uses as few as fit.'
    )
    assert descriptions("instances")["init.weights"].startswith(
        "Initial weights: a .pth or .safetensors file, torchvision's"
    )


@pytest.mark.parametrize("name", fields.MODELS)
def test_every_field_of_a_model_is_described(name):
    known = fields.descriptions(name)
    assert [field for field in fields.default_fields(name) if not known.get(field)] == []


def test_fields_of_a_section_are_described():
    assert "positive" in fields.descriptions("mask_rcnn")["rpn_sampling.positive_fraction"]


def test_a_field_of_both_tasks_has_the_description_of_its_own():
    semantic, detector = descriptions("semantic"), descriptions("instances")
    assert semantic["data.crop_size"] == "Height and width of training crops; () uses data.image_size."
    assert detector["data.crop_size"] == "Height and width of training crops under data.augment.scale_jitter."
    assert "data.min_size" not in semantic
    assert "data.image_size" not in detector
