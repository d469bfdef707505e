"""Keeps pages of one's own working that start with ``from configs import base``; new pages use ``jaxseg.config``."""

import ml_collections

from jaxseg import config as defaults


def get_config() -> ml_collections.ConfigDict:
    """Returns the defaults of semantic models, with the fields that only detectors have in addition."""
    config = defaults.semantic()
    _fill(config, defaults.detector())
    config.data.update(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    return config


def _fill(config: ml_collections.ConfigDict, other: ml_collections.ConfigDict) -> None:
    """Adds the fields that only the other config has."""
    for name, value in other.items():
        if name not in config:
            config[name] = value
        elif isinstance(value, ml_collections.ConfigDict):
            _fill(config[name], value)
