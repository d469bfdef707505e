"""Installs the pages of ``configs/`` as the package ``jaxseg.configs``; everything else is in ``pyproject.toml``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["jaxseg", "jaxseg.*"]), "jaxseg.configs"],
    package_dir={"jaxseg.configs": "configs"},
)
