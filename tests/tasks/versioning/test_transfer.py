"""Versions go to folders, S3 and SSH and come back.

What goes for good takes nothing along that somebody needs.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from infra.files import digest
from tasks.garbage_collection.versions import (
    files_of_these_alone,
    remove_versions,
    size_in_cache,
    surplus_versions,
)
from tasks.rows.parts import read
from tasks.versioning.repository import Repository
from tasks.versioning.transfer import pull, push

DEADLINE_S = 60
BUCKET = "gyre-versions"


def listens(process, port):
    deadline = time.monotonic() + DEADLINE_S
    while True:
        assert process.poll() is None, "the server ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert time.monotonic() < deadline, f"no server on port {port}"
        time.sleep(0.1)


def ended(process):
    process.terminate()
    process.wait(DEADLINE_S)


def there_and_back(workshop, url, options):
    """Two versions to a remote, and into another home that has git's part alone."""
    first, second = workshop.make(workshop.labelled("few", 40)), workshop.make(workshop.labelled("more", 60))
    assert push(workshop.repository, "wine", url, options) == 4
    assert push(workshop.repository, "wine", url, options) == 0
    shutil.rmtree(workshop.folder / "remote")
    other = workshop.folder / "other"
    subprocess.run(["git", "clone", "--quiet", workshop.repository.root, other / "data"], check=True)
    pulled = Repository(other / "data", url, options)
    assert pull(pulled, "wine", other / "datasets") == 4
    for version in (first, second):
        again = pulled.record("wine", version.version, other / "datasets")
        assert again.model_copy(update={"uri": version.uri}) == version
        assert len(read(again)) == version.rows
    return pulled, other


def test_versions_go_to_a_folder_and_back(workshop, tmp_path):
    there_and_back(workshop, str(tmp_path / "elsewhere"), {})
    assert str(tmp_path / "elsewhere") not in (workshop.repository.root / ".dvc" / "config").read_text()


def test_versions_go_to_s3_and_back_and_are_removed_there(workshop, free_port, monkeypatch):
    import boto3

    port = free_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    command = [Path(sys.executable).with_name("moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        listens(server, port)
        endpoint = f"http://127.0.0.1:{port}"
        client = boto3.client("s3", endpoint_url=endpoint)
        client.create_bucket(Bucket=BUCKET)
        pulled, other = there_and_back(workshop, f"s3://{BUCKET}/gyre", {"endpointurl": endpoint})
        assert len(client.list_objects_v2(Bucket=BUCKET)["Contents"]) == 4
        client.put_object(Bucket=BUCKET, Key="gyre/files/md5/ab/of-another-installation", Body=b"kept")
        remove_versions(pulled, "wine", [1], other / "datasets")
        left = [each["Key"] for each in client.list_objects_v2(Bucket=BUCKET)["Contents"]]
        assert len(left) == 3
        assert "gyre/files/md5/ab/of-another-installation" in left
    finally:
        ended(server)


def test_versions_go_over_ssh_and_back(workshop, free_port, tmp_path):
    sshd = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
    if sshd is None:
        pytest.skip("no sshd; apt-get install openssh-server")
    keys, port = tmp_path / "keys", free_port()
    keys.mkdir(mode=0o700)
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    Path("/run/sshd").mkdir(exist_ok=True)
    lines = [
        f"HostKey {keys}/host",
        f"AuthorizedKeysFile {keys}/user.pub",
        "StrictModes no",
        "Subsystem sftp internal-sftp",
        "UsePAM no",
    ]
    (keys / "config").write_text("\n".join([*lines, "PasswordAuthentication no", f"PidFile {keys}/pid", ""]))
    command = [sshd, "-D", "-e", "-f", keys / "config", "-p", str(port), "-o", "ListenAddress=127.0.0.1"]
    server = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        listens(server, port)
        url = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/over-ssh"
        there_and_back(workshop, url, {"keyfile": str(keys / "user"), "allow_agent": "false"})
    finally:
        ended(server)


def test_files_that_a_remote_lacks_are_named(workshop, tmp_path):
    workshop.make(workshop.labelled("few", 40))
    subprocess.run(["git", "clone", "--quiet", workshop.repository.root, tmp_path / "other"], check=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ValueError, match=r"wine/v1: \d of its files are not in .*/empty; push them from where they were made"
    ):
        pull(Repository(tmp_path / "other", str(tmp_path / "empty")), "wine", tmp_path / "datasets")


def test_named_versions_and_those_of_models_stay(workshop):
    for rows in (40, 41, 42, 43):
        workshop.make(workshop.labelled(f"rows-{rows}", rows))
    repository = workshop.repository
    assert repository.tag("wine", 1, "golden") == repository.tag("wine", 1, "golden") == "wine/golden"
    with pytest.raises(ValueError, match="wine/golden is version 1 already; choose another name"):
        repository.tag("wine", 2, "golden")
    with pytest.raises(ValueError, match="'v7' is no name for a version"):
        repository.tag("wine", 2, "v7")
    assert repository.names("wine") == {"golden": 1}
    assert surplus_versions(repository, "wine", 1, {2}) == [3]
    assert [line["names"] for line in repository.described("wine")] == ["golden", "", "", ""]


def test_what_goes_is_what_no_other_version_has(workshop, tmp_path):
    frames = [workshop.labelled(f"part-{n}", 30 + n) for n in range(3)]
    parts = [read(each) for each in frames]
    first = workshop.make(workshop.of_frames("first", parts))
    parts[1].loc[0, "label"] = "b"
    second = workshop.make(workshop.of_frames("second", parts))
    tea = workshop.make(workshop.of_frames("tea", parts[:2]), "tea")
    gone = files_of_these_alone(workshop.repository, "wine", [1])
    assert len(gone) == 2
    assert size_in_cache(workshop.repository, gone) > 0

    remove_versions(workshop.repository, "wine", [1], workshop.datasets)
    assert not Path(first.uri).exists()
    assert list(workshop.repository.numbers("wine")) == [2]
    for version in (second, tea):
        assert digest(Path(version.uri)) == version.digest
        workshop.repository.checkout(version.project, version.version, tmp_path / "out" / version.project)
        assert digest(tmp_path / "out" / version.project) == version.digest
    left = {path.parent.name + path.name for path in (tmp_path / "remote").rglob("*") if path.is_file()}
    assert not gone & left
