"""What pip was told holds for uv: two indexes over loopback, and the failures that a stranger meets."""

import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from infra.installer import (
    SetupError,
    advice,
    asked_indexes,
    mask_credentials,
    pip_settings,
    run_told,
    uv_environment,
)

UV = str(Path(sys.executable).with_name("uv"))


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch):
    """pip's and uv's variables here are the test's own, and pip reads no file."""
    for name in ("INDEX_URL", "EXTRA_INDEX_URL", "FIND_LINKS", "CERT"):
        monkeypatch.delenv(f"PIP_{name}", raising=False)
    for name in ("DEFAULT_INDEX", "INDEX", "EXTRA_INDEX_URL", "INDEX_URL", "FIND_LINKS", "INDEX_STRATEGY"):
        monkeypatch.delenv(f"UV_{name}", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


class QuietFiles(SimpleHTTPRequestHandler):
    """Files without a line on standard error for each."""

    def log_message(self, *arguments):
        pass


def publish(folder, version):
    """A simple index in `folder` with one wheel of the package `moored`."""
    page = folder / "moored"
    page.mkdir(parents=True)
    name = f"moored-{version}-py3-none-any.whl"
    about = f"moored-{version}.dist-info"
    with zipfile.ZipFile(page / name, "w") as wheel:
        wheel.writestr("moored.py", f"version = {version!r}\n")
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: moored\nVersion: {version}\n")
        wheel.writestr(
            f"{about}/WHEEL",
            "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(
            f"{about}/RECORD", f"moored.py,,\n{about}/METADATA,,\n{about}/WHEEL,,\n{about}/RECORD,,\n"
        )
    (page / "index.html").write_text(f'<a href="{name}">{name}</a>')


@pytest.fixture
def indexes(tmp_path):
    """URLs of the index that has version 2 and of one more, which has version 1 only."""
    publish(tmp_path / "main", "2.0")
    publish(tmp_path / "extra", "1.0")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietFiles, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://reader:secret@127.0.0.1:{server.server_port}"
    yield f"{address}/main", f"{address}/extra"
    server.shutdown()
    thread.join()
    server.server_close()


def install(requirement, target, environment):
    command = [
        UV,
        "pip",
        "install",
        "--no-cache",
        "--python",
        sys.executable,
        "--target",
        str(target),
        requirement,
    ]
    run_told(command, environment=environment)


@pytest.mark.parametrize("place", ["environment", "file"])
def test_of_several_indexes_the_best_version_is_taken_as_pip_does(place, indexes, tmp_path, monkeypatch):
    main, extra = indexes
    if place == "environment":
        monkeypatch.setenv("PIP_INDEX_URL", main)
        monkeypatch.setenv("PIP_EXTRA_INDEX_URL", extra)
    else:
        (tmp_path / "pip.conf").write_text(f"[global]\nindex-url = {main}\nextra-index-url =\n    {extra}\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "pip.conf"))
    install("moored>=2", tmp_path / "target", uv_environment(pip_settings(sys.executable)))
    assert (tmp_path / "target" / "moored.py").read_text() == "version = '2.0'\n"


def test_a_version_that_no_index_has_is_told_with_every_index_and_no_password(
    indexes, tmp_path, monkeypatch, capsys
):
    main, extra = indexes
    monkeypatch.setenv("PIP_INDEX_URL", main)
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", extra)
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(SetupError) as caught:
        install("moored>=3", tmp_path / "target", uv_environment(pip_settings(sys.executable)))
    said = str(caught.value)
    hidden = [address.replace("reader:secret", "***") for address in indexes]
    assert (
        f"Asked were: {hidden[0]}, {hidden[1]}, the files of {tmp_path}. An index of your own must have"
        in said
    )
    assert "secret" not in said + capsys.readouterr().out


def test_one_index_is_searched_as_uv_does_and_the_users_own_word_to_uv_stays(monkeypatch):
    monkeypatch.setenv("PIP_INDEX_URL", "https://one.example/simple")
    monkeypatch.setenv("PIP_FIND_LINKS", "/one /two")
    environment = uv_environment(pip_settings(sys.executable))
    assert environment["UV_DEFAULT_INDEX"] == "https://one.example/simple"
    assert environment["UV_FIND_LINKS"] == "/one,/two"
    assert "UV_INDEX_STRATEGY" not in environment
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://two.example/simple")
    monkeypatch.setenv("UV_INDEX", "https://three.example/simple")
    environment = uv_environment(pip_settings(sys.executable))
    assert environment["UV_INDEX"] == "https://three.example/simple"
    assert environment["UV_INDEX_STRATEGY"] == "unsafe-best-match"


def test_a_full_disk_is_told_with_what_to_move():
    with pytest.raises(SetupError, match=r"The disk is full: .* move the cache \(UV_CACHE_DIR\)"):
        run_told([sys.executable, "-c", "with open('/dev/full', 'w') as file: file.write('x')"])


def test_a_failure_of_no_known_cause_gets_the_hint_of_its_step():
    with pytest.raises(SetupError, match=r"ended with 3; its reason is above\. Try the other door$"):
        run_told([sys.executable, "-c", "raise SystemExit(3)"], "Try the other door")
    assert advice("something else") == ""


def test_credentials_are_masked_wherever_they_stand():
    text = "from https://me:p%40ss@host/simple and http://token@other/x, not mail@host"
    assert mask_credentials(text) == "from https://***@host/simple and http://***@other/x, not mail@host"
    assert asked_indexes({}) == "the public index"
