"""Versions of a data set: commits of a DVC repo that anybody with git and dvc can read.

In: LabelReport. Out: DatasetVersion, its rows split into train, validation and test and laid out as Parquet.
`make_version` does it all, in a `Repository`. Open version.py first, then split.py and repository.py;
data_card.py, diff.py and provenance.py tell about a version.
"""

from typing import TYPE_CHECKING

from infra.imports import lazy

if TYPE_CHECKING:
    from tasks.versioning.repository import Repository
    from tasks.versioning.version import make_version
else:
    __getattr__ = lazy("tasks.versioning.repository:Repository", "tasks.versioning.version:make_version")
__all__ = ["Repository", "make_version"]
