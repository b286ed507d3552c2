"""Who may ask a flow run for what: nothing is read or imported for one who may not."""

import sys

import pytest

from configs.load import ConfigError
from flows.parameters import load_requested, sign_parameters
from infra.home import Home

YAML = """
name: riders
source: {reader: "riders_reader:read"}
intake: {kind: tabular, numeric: [age]}
result: {kind: classification, classes: [a, b]}
"""


@pytest.fixture
def project(tmp_path, settings):
    path = tmp_path / "elsewhere" / "riders.yaml"
    path.parent.mkdir()
    path.write_text(YAML)
    return str(path)


def test_what_the_command_signed_is_done(settings, project):
    asked = sign_parameters("cycle", project, {"training.network": "net:Net"}, settings)
    assert load_requested("cycle", **asked).training.network == "net:Net"
    sys.path.remove(str(settings.home.root.parent / "elsewhere"))


def test_what_nobody_signed_names_no_code_and_no_file(settings, project):
    for path in (project, "../riders"):
        with pytest.raises(
            ConfigError,
            match=r"takes a project of .* by name .*start it with `gyre run PROJECT --set KEY=VALUE`",
        ):
            load_requested("cycle", path, None, None)
    with pytest.raises(ConfigError, match=r"'source.reader' can name code or files.*`gyre drift PROJECT"):
        load_requested("drift", "digits", {"source.reader": "subprocess:check_call"}, None)
    assert not [folder for folder in sys.path if folder.endswith("elsewhere")]
    assert load_requested("cycle", "digits", {"training.epochs": "3"}, None).training.epochs == 3


def test_a_signature_is_for_its_flow_its_parameters_and_its_installation(settings, project, tmp_path):
    asked = sign_parameters("cycle", project, {}, settings)
    wrong = [
        ("tune", asked),
        ("cycle", asked | {"overrides": {"training.network": "os:system"}}),
        ("cycle", asked | {"project": "digits"}),
        ("cycle", asked | {"signature": ""}),
        (
            "cycle",
            sign_parameters(
                "cycle", project, {}, settings.model_copy(update={"home": Home(tmp_path / "other")})
            ),
        ),
    ]
    for flow, parameters in wrong:
        with pytest.raises(
            ConfigError, match="made for other parameters than these, or by another installation"
        ):
            load_requested(flow, **parameters)
    assert not [folder for folder in sys.path if folder.endswith("elsewhere")]


def test_a_flow_that_names_files_is_done_for_its_signature_alone(settings, project):
    files = {"source": "/etc/passwd", "target": "/somewhere/scores"}
    with pytest.raises(
        ConfigError, match=r"source, target: can name files; .* start it with `gyre score PROJECT`"
    ):
        load_requested("score", "digits", None, None, files)
    signed = sign_parameters("score", "digits", {}, settings, files)
    assert load_requested("score", "digits", {}, signed["signature"], files).name == "digits"
    with pytest.raises(ConfigError, match="made for other parameters than these"):
        load_requested("score", "digits", {}, signed["signature"], files | {"target": "/root/.bashrc"})
