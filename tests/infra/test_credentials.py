import json
import netrc
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from infra.credentials import CredentialError, read_credential


def test_a_credential_is_made_once_and_only_its_owner_can_read_it(tmp_path):
    home = tmp_path / "home"
    path = home / "credentials"
    made = read_credential(path)
    assert read_credential(path) == made
    assert len(made.password) >= 40
    assert path.stat().st_mode & 0o777 == 0o600
    assert home.stat().st_mode & 0o777 == 0o700
    assert read_credential(tmp_path / "other" / "credentials") != made


def test_of_many_that_need_it_first_all_get_the_same(tmp_path):
    with ThreadPoolExecutor(16) as pool:
        found = set(pool.map(lambda _: read_credential(tmp_path / "home" / "credentials"), range(64)))
    assert len(found) == 1
    assert [path.name for path in (tmp_path / "home").iterdir()] == ["credentials"]


def test_curl_and_every_reader_of_netrc_files_take_it(tmp_path):
    credential = read_credential(tmp_path / "credentials")
    user, _, password = netrc.netrc(tmp_path / "credentials").authenticators("127.0.0.1")
    assert f"{user}:{password}" == credential.pair


def test_a_file_without_a_password_is_named(tmp_path):
    (tmp_path / "credentials").write_text("nothing here\n")
    with pytest.raises(CredentialError, match=r"credentials: holds no password; remove the file"):
        read_credential(tmp_path / "credentials")


def test_a_password_is_not_shown_by_accident(tmp_path):
    credential = read_credential(tmp_path / "credentials")
    assert credential.password not in repr(credential)
    assert credential.password not in f"{credential}"


def test_a_signature_holds_for_one_value_one_purpose_and_one_installation(tmp_path):
    one, other = (
        read_credential(tmp_path / "one" / "credentials"),
        read_credential(tmp_path / "other" / "credentials"),
    )
    value = {"project": "digits", "overrides": {"training.epochs": "3"}}
    signature = one.signature("run", value)
    assert one.signed("run", json.loads(json.dumps(value)), signature)
    assert one.signed("run", dict(reversed(value.items())), signature)
    assert not one.signed("run", value | {"project": "mnist"}, signature)
    assert not one.signed("event", value, signature)
    assert not other.signed("run", value, signature)
    assert not one.signed("run", value, "")
    assert not one.signed("run", value, "ä")


def test_no_process_shows_the_credential_in_its_command_line_and_all_know_it(settings):
    environment = settings.environment()
    assert (
        environment["PREFECT_API_AUTH_STRING"]
        == environment["PREFECT_SERVER_API_AUTH_STRING"]
        == settings.credential.pair
    )
    assert environment["PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED"] == "true"
    assert settings.credential.password not in settings.model_dump_json()
    code = "from infra.settings import Settings; print(Settings().credential.pair)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == settings.credential.pair
