"""The command line of a command: flags, config and fields."""

import pytest

from jaxseg.commands.arguments import Parser
from jaxseg.commands.errors import UsageError


def parse(*arguments, positional=True, required=True):
    parser = Parser("try", "Tries things.\n\njaxseg try one\njaxseg try two")
    parser.add_config(positional=positional, required=required)
    parser.add_argument("--num_things", type=int, default=1, help="Number of things, such as 2. Default: 1.")
    return parser.parse(list(arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("unet_shapes", "--config.train.steps=3", "--num_things=2"),
        ("--config", "unet_shapes", "--config.train.steps", "3", "--num-things", "2"),
        ("--config=configs/unet_shapes.py", "--num-things=2", "--config.train.steps=2", "--config.train.steps=3"),
    ],
)
def test_a_config_is_given_in_place_or_as_a_flag(arguments, root, monkeypatch):
    monkeypatch.chdir(root)
    options = parse(*arguments)
    assert (options.config.train.steps, options.num_things, options.config_name) == (3, 2, "unet_shapes")


def test_booleans_need_no_value():
    assert parse("unet_shapes", "--config.deterministic").config.deterministic is True
    assert parse("unet_shapes", "--noconfig.data.cache", "--config.remat").config.data.cache is False
    assert parse("unet_shapes", "--config.mesh.data", "-1").config.mesh.data == -1


def test_every_field_of_a_model_can_be_set():
    assert parse("unet_shapes", "--config.model.dropout=0.1").config.model.dropout == 0.1
    config = parse("mask_rcnn_coco", "--config.model.detection.max_detections=20").config
    assert config.model.detection.max_detections == 20
    assert config.model.detection.nms_iou == 0.5


def test_another_model_starts_from_its_own_defaults():
    config = parse("unet_shapes", "--config.model.name=unet_resnet", "--config.model.depth=18").config
    assert config.model.to_dict() == {"name": "unet_resnet", "depth": 18, "width": 64, "norm": "batch"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "the config is missing. Give one of .*unet_shapes"),
        (("unet_shapes", "more"), "unrecognized arguments: more"),
        (("--config=unet_shapes", "train"), "unexpected argument 'train'"),
        (("unet_shapes", "--num_thigns=2"), "unrecognized arguments: --num_thigns=2. Did you mean --num_things"),
        (("unet_shapes", "--num_things=two"), "invalid int value: 'two'"),
        (("unet_shapes", "--config.model.dropuot=0.1"), "Did you mean model.dropout"),
        (("unet_shapes", "--config.model.name=unett"), "model.name is 'unett'; known are .*unet"),
        (("unet_shapes", "--config.optimizer.learning_rate=-1"), "learning_rate is -1.0; expected more than 0"),
        (("unet_shapes", "--config.model.norm_momentum=2"), "model.norm_momentum is 2.0; expected 0 to less than 1"),
    ],
)
def test_a_mistake_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        parse(*arguments)


def test_fields_need_a_config():
    with pytest.raises(UsageError, match="--config.train.steps changes a config, which is not given"):
        parse("--config.train.steps=3", required=False)


def test_changes_of_a_runs_config_wait_for_it():
    parser = Parser("predict", "Predicts.")
    parser.add_config(required=False, of_run=True)
    options = parser.parse(["--config.data.resize=none", "--config.seed", "3"])
    assert options.config is None
    assert options.changes == [("data.resize", "none"), ("seed", "3")]
    assert parser.parse(["unet_shapes", "--config.seed=3"]).changes == []
    with pytest.raises(UsageError, match="--config.data.resize changes a config, which is not given"):
        parser.refuse_changes(options)
    served = Parser("serve", "Serves.")
    served.add_changes()
    assert served.parse(["--config.data.resize=none"]).changes == [("data.resize", "none")]


def test_home_folders_are_expanded(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert parse("unet_shapes", "--config.data.dir=~/data").config.data.dir == "/somewhere/data"


def test_help_starts_with_commands_and_lists_the_fields_of_a_config(capsys):
    with pytest.raises(SystemExit) as ended:
        parse("unet_shapes", "--help")
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert said.startswith("Tries things.\n\njaxseg try one\njaxseg try two\n")
    assert "--num_things" in said
    assert "--config.train.steps=1700\n      Number of steps; None derives it from train.epochs." in said
    assert "--config.model.dropout=0.0\n      Share of activations dropped" in said
