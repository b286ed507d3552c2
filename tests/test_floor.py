"""The floor of branch coverage that `make test` keeps only rises."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def floor(text: str) -> float:
    """Of a pyproject.toml; 0 where it names none."""
    report = tomllib.loads(text).get("tool", {}).get("coverage", {}).get("report", {})
    return report.get("fail_under", 0)


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout


def test_no_commit_had_a_higher_floor():
    if not (ROOT / ".git").exists():
        pytest.skip("a copy without git has no history to compare with")
    changed = git("log", "--format=%H", "-G", "^fail_under", "--", "pyproject.toml").split()
    before = {commit: floor(git("show", f"{commit}:pyproject.toml")) for commit in changed}
    now = floor((ROOT / "pyproject.toml").read_text())
    assert now > 0
    assert {commit: level for commit, level in before.items() if level > now} == {}


def test_make_test_measures_branches():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]
    assert settings["branch"]
    assert (
        settings["source"]
        == tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
            "packages"
        ]
    )
    assert re.search(r"^test:.*\n\t.*pytest .*--cov( |$)", (ROOT / "Makefile").read_text(), re.MULTILINE)
