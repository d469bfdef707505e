"""Fields of a config set from text and from values: types, the last one wins, and what is not there is named."""

import pytest

from jaxseg import config as defaults
from jaxseg.config import changes


@pytest.mark.parametrize(
    ("field", "text", "value"),
    [
        ("train.steps", "12", 12),
        ("train.steps", "None", None),
        ("optimizer.learning_rate", "1e-2", 0.01),
        ("optimizer.learning_rate", "1", 1.0),
        ("data.cache", "false", False),
        ("data.cache", "1", True),
        ("data.source_dir", "~/a b", "~/a b"),
        ("data.image_size", "64", (64,)),
        ("data.image_size", "64,96", (64, 96)),
        ("data.image_size", "(64, 96)", (64, 96)),
        ("data.crop_size", "", ()),
        ("loss.class_weights", "1,2.5", (1, 2.5)),
        ("optimizer.factors", "(('backbone/', 0.1),)", (("backbone/", 0.1),)),
        ("trackers", "wandb,mlflow", ("wandb", "mlflow")),
    ],
)
def test_text_becomes_the_type_of_the_field(field, text, value):
    config = defaults.semantic()
    changes.set_text(config, field, text)
    found = changes.get_value(config, field)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("field", "text", "message"),
    [
        ("train.steps", "many", "train.steps is 'many'; expected a whole number"),
        ("train.steps", "1.5", "train.steps is '1.5'; expected a whole number"),
        ("optimizer.learning_rate", "fast", "expected a number"),
        ("data.cache", "maybe", "expected true or false"),
        ("trian.steps", "1", "no field trian.steps. Did you mean train.steps"),
        ("train.step", "1", "Did you mean train.steps"),
        ("batch_size", "1", "Did you mean train.batch_size"),
        ("optimizer.lr", "1", "Fields of optimizer: .*optimizer.learning_rate"),
        ("quux", "1", "Sections: .*train"),
        ("train", "1", "train is a section of the config"),
        ("train.steps.first", "1", "no field train.steps.first"),
    ],
)
def test_what_cannot_be_set_is_named(field, text, message):
    with pytest.raises(ValueError, match=message) as caught:
        changes.set_text(defaults.semantic(), field, text)
    assert "\n" not in str(caught.value)


def test_of_several_values_the_last_one_wins():
    config = defaults.semantic()
    given = [("data.image_size", "32"), ("train.steps", "3"), ("data.image_size", "64,64"), ("train.steps", "4")]
    assert changes.apply(config, given, as_text=True) == []
    assert (config.data.image_size, config.train.steps) == ((64, 64), 4)


def test_the_newer_of_steps_and_epochs_wins():
    config = defaults.semantic()
    config.train.steps = 1700
    assert changes.apply(config, [("train.epochs", "1")], as_text=True) == [
        "train.epochs=1 replaces train.steps=1700 of the config"
    ]
    assert config.train.steps is None
    changes.apply(config, [("train.epochs", "2"), ("train.steps", "5")], as_text=True)
    assert config.train.steps == 5


def test_values_and_nested_mappings_set_fields():
    config = defaults.semantic()
    changes.apply(config, [("train", {"steps": 3, "batch_size": 4}), ("loss.class_weights", [1.0, 2.0])], as_text=False)
    assert (config.train.steps, config.train.batch_size, config.loss.class_weights) == (3, 4, (1.0, 2.0))
    with pytest.raises(ValueError, match="train.steps is 'x'; expected int"):
        changes.set_value(config, "train.steps", "x")
