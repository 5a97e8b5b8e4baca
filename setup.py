"""Finds the packages; everything else is in pyproject.toml.

Setuptools can rename folders (`package-dir`) or search for packages, not both at once. So this
searches: a new folder with an `__init__.py`, in any of the three, is part of the next build.
"""

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["minigrad", "minigrad.*"]),
        *(f"minigrad.{name}" for name in find_packages(include=["nn", "nn.*", "optim", "optim.*"])),
    ]
)
