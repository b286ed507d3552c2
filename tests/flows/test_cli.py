"""The public surface of the `gyre` command, frozen: a verb or option that vanishes breaks somebody's scripts."""

import typer

from flows.cli import app, overrides

SURFACE = {
    "up": {"--detach", "-d"},
    "status": {"--json"},
    "down": set(),
    "run": {"project", "--set", "--json"},
    "drift": {"project", "--set", "--json"},
    "tune": {"project", "--set", "--json"},
    "rollback": {"project", "--json"},
    "predict": {"project", "rows", "--json"},
    "models": {"--json"},
    "demo": {"--keep", "--json"},
}


def test_verbs_and_options_are_these():
    group = typer.main.get_command(app)
    surface = {name: {opt for p in command.params for opt in p.opts if opt != "--help"} for name, command in group.commands.items()}
    assert surface == SURFACE


def test_every_verb_teaches_in_its_help():
    group = typer.main.get_command(app)
    assert [name for name, command in group.commands.items() if not command.help or len(command.help) < 20] == []


def test_overrides_are_pairs():
    assert overrides(["training.epochs=3", "source.path=a=b"]) == {"training.epochs": "3", "source.path": "a=b"}
