"""The public surface of the `gyre` command, frozen.

A verb or option that vanishes breaks somebody's scripts.
"""

import subprocess
import sys
from pathlib import Path

import typer

from flows.cli import app
from flows.terminal import overrides

SURFACE = {
    "up": {"--detach", "-d"},
    "status": {"--json"},
    "down": set(),
    "init": {"data", "--label", "--name", "--table"},
    "schema": {"path"},
    "check": {"project", "--set", "--json"},
    "run": {"project", "--set", "--json"},
    "runs": {"project", "--limit", "-n", "--json"},
    "follow": {"run", "--json"},
    "cancel": {"run"},
    "drift": {"project", "--set", "--json"},
    "tune": {"project", "--set", "--json"},
    "backtest": {"project", "--set", "--json"},
    "rollback": {"project", "--json"},
    "retire": {"project", "version"},
    "predict": {"project", "rows", "--format", "--allow-missing", "--json"},
    "explain": {"project", "rows", "--json"},
    "score": {
        "project",
        "source",
        "--to",
        "--table",
        "--source-table",
        "--version",
        "--replace",
        "--append",
        "--allow-missing",
        "--set",
        "--json",
    },
    "export": {"project", "--to", "--output", "--version", "--storage", "--json"},
    "models": {"--json"},
    "token create": {"name", "--scope", "--project", "--rate", "--expires", "--json"},
    "token list": {"--json"},
    "token revoke": {"name"},
    "data infer": {"source", "--table"},
    "data propose": {"project", "--version"},
    "data versions": {"project", "--json"},
    "data diff": {"project", "before", "now", "--json"},
    "data checkout": {"project", "version", "folder"},
    "data tag": {"project", "version", "name"},
    "data push": {"project", "--to"},
    "data pull": {"project", "--from"},
    "data card": {"project", "version"},
    "data quarantine list": {"project", "--reason", "--rows", "--json"},
    "data quarantine show": {"project", "row", "--json"},
    "data quarantine release": {"project", "rows", "--reason", "--why"},
    "data quarantine fix": {"project", "row", "--set", "--why"},
    "data quarantine undo": {"project", "rows", "--why"},
    "lineage": {"anything", "--json"},
    "data gc": {"project", "--keep", "--days", "--yes"},
    "demo": {"--keep", "--json"},
}


def verbs(group, before=""):
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from verbs(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_verbs_and_options_are_these():
    found = verbs(typer.main.get_command(app))
    assert {
        name: {opt for p in command.params for opt in p.opts if opt != "--help"} for name, command in found
    } == SURFACE


def test_every_verb_teaches_in_its_help():
    found = verbs(typer.main.get_command(app))
    assert [name for name, command in found if not command.help or len(command.help) < 20] == []


def test_overrides_are_pairs():
    assert overrides(["training.epochs=3", "source.path=a=b"]) == {
        "training.epochs": "3",
        "source.path": "a=b",
    }


def test_a_message_keeps_its_square_brackets(settings, tmp_path):
    command = [str(Path(sys.executable).with_name("gyre")), "check", str(tmp_path / "[red]wine.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "[red]wine.yaml" in done.stderr
