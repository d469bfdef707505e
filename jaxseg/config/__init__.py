"""Configs: their defaults, and the pages of ``configs/`` by name or by path.

A page starts from ``semantic()`` or ``detector()`` and changes what its experiment needs:

    from jaxseg import config as defaults

    def get_config():
        config = defaults.semantic()
        config.data.name = "folder"
        config.model = {"name": "unet", "features": 32}
        return config
"""

from jaxseg.config.defaults import detector, rate_for_width, semantic
from jaxseg.config.pages import load, page_names

__all__ = ["detector", "load", "page_names", "rate_for_width", "semantic"]
