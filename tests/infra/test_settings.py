from pathlib import Path

import pytest
from pydantic import ValidationError

from infra.home import Home
from infra.settings import Settings


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch, tmp_path):
    for field in Settings.model_fields:
        monkeypatch.delenv(f"GYRE_{field.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_home_is_under_the_working_folder_and_absolute(tmp_path):
    settings = Settings()
    assert settings.home == Home(tmp_path / ".gyre")
    assert settings.projects.is_absolute()
    assert settings.host == "127.0.0.1"


def test_settings_yaml_in_the_home_is_read_and_the_environment_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("GYRE_HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "settings.yaml").write_text("prefect_port: 4300\nserver_port: 8090\n")
    monkeypatch.setenv("GYRE_SERVER_PORT", "8091")
    settings = Settings()
    assert (settings.prefect_url, settings.server_url) == ("http://127.0.0.1:4300", "http://127.0.0.1:8091")


@pytest.mark.parametrize("port", ["0", "65536", "http"])
def test_a_port_that_is_none_is_refused_by_name(monkeypatch, port):
    monkeypatch.setenv("GYRE_SERVER_PORT", port)
    with pytest.raises(ValidationError, match=r"server_port\n"):
        Settings()


def test_an_unknown_key_in_settings_yaml_is_refused(tmp_path):
    (tmp_path / ".gyre").mkdir()
    (tmp_path / ".gyre" / "settings.yaml").write_text("prefect_prot: 4300\n")
    with pytest.raises(ValidationError, match="prefect_prot"):
        Settings()


def test_the_environment_describes_the_same_installation_to_every_process(monkeypatch):
    settings = Settings(home=Path("elsewhere"), server_port=8099)
    for name, value in settings.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")
    assert Settings() == settings


def test_no_process_reports_to_the_outside(tmp_path):
    environment = Settings().environment()
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == environment["GX_ANALYTICS_ENABLED"] == "false"
    assert environment["DO_NOT_TRACK"] == "1"
    for name in ("PREFECT_HOME", "PREFECT_LOCAL_STORAGE_PATH"):
        assert environment[name].startswith(str(tmp_path / ".gyre"))


def test_report_urls_are_under_the_reports_folder(tmp_path):
    settings = Settings()
    assert (
        settings.report_url(settings.home.make(settings.home.reports / "digits") / "drift.html")
        == "http://127.0.0.1:8081/digits/drift.html"
    )


@pytest.mark.parametrize("name", ["cors_origins", "outbound_origins"])
def test_a_list_of_origins_names_the_one_that_is_none(name):
    with pytest.raises(ValueError, match=f"{name}: 'example.com/hook' is no origin; want such as https"):
        Settings(**{name: "https://hooks.example.com, example.com/hook"})
