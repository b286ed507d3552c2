"""What a wheel of Gyre holds beside code."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
    "packages"
]


def test_type_checkers_read_the_types_of_every_package():
    assert [name for name in PACKAGES if not (ROOT / name / "py.typed").is_file()] == []
