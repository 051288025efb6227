"""For tools that look for it: what the package is and needs is in pyproject.toml."""

from setuptools import setup

setup()
