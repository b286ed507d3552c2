"""Sources on real servers: PostgreSQL, S3 and HTTP processes."""

import itertools
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from datetime import datetime
from pathlib import Path

import pytest

from configs.source import LimitsConfig, SourceConfig, SqlConfig

DEADLINE_S = 60
SECRET = "hunter-too"  # noqa: S105 - of a server that lives as long as its test


def until(answers, process=None):
    """Waits until a call does not raise."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            return answers()
        except Exception:
            assert time.monotonic() < deadline
            assert process is None or process.poll() is None
            time.sleep(0.05)


@pytest.fixture(scope="module")
def process():
    """Starts processes that end with the module."""
    started = []

    def start(*command, **options):
        started.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
        )
        return started[-1]

    yield start
    for each in started:
        each.terminate()
        each.wait(DEADLINE_S)


@pytest.fixture(scope="module", autouse=True)
def secrets():
    """In the environment before the workers start: what is sent to them holds no secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETS_PASSWORD", SECRET)
        patch.setenv("S3_SECRET", SECRET)
        yield


def postgres_tools():
    """The folder of PostgreSQL's programs; None where it is not installed."""
    for folder in [
        *sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True),
        Path(shutil.which("initdb") or "/none").parent,
    ]:
        if (folder / "initdb").exists():
            return folder
    return None


@pytest.fixture(scope="module")
def database(process, tmp_path_factory):
    """The URL of a PostgreSQL of its own, on a random port, run by a user that is not root."""
    tools = postgres_tools()
    if tools is None:
        pytest.skip("PostgreSQL is not installed")
    folder = tmp_path_factory.mktemp("postgres")
    user = []
    if os.geteuid() == 0:
        if not shutil.which("runuser"):
            pytest.skip("PostgreSQL does not run as root, and runuser is not installed")
        user = ["runuser", "-u", "nobody", "--"]
        for parent in itertools.takewhile(
            lambda each: each != Path(tempfile.gettempdir()), (folder, *folder.parents)
        ):
            parent.chmod(0o755)
        shutil.chown(folder, "nobody")
    (folder.parent / "password").write_text(SECRET)
    (folder.parent / "password").chmod(0o644)
    made = [
        tools / "initdb",
        "-D",
        folder / "data",
        "-U",
        "gyre",
        "-A",
        "scram-sha-256",
        "--pwfile",
        folder.parent / "password",
        "-N",
    ]
    subprocess.run([*user, *map(str, made)], check=True, capture_output=True, timeout=DEADLINE_S, cwd=folder)
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["-D", folder / "data", "-p", port, "-k", folder, "-c", "listen_addresses=127.0.0.1"]
    server = process(*user, *map(str, [tools / "postgres", *options]), cwd=folder)
    import psycopg

    until(
        lambda: psycopg.connect(
            f"host=127.0.0.1 port={port} user=gyre password={SECRET} dbname=postgres"
        ).close(),
        server,
    )
    return f"postgresql+psycopg://gyre:{{}}@127.0.0.1:{port}/postgres"


@pytest.fixture
def pets(database):
    """A source of a table of 1,000 pets whose password is in the environment."""
    import psycopg

    with psycopg.connect(database.format(SECRET).replace("+psycopg", "")) as connected:
        connected.execute("DROP TABLE IF EXISTS pets")
        connected.execute("CREATE TABLE pets (id bigint, height numeric, kind text, changed timestamp)")
        connected.execute(
            "INSERT INTO pets "
            "SELECT i, i / 10.0, CASE WHEN i % 2 = 0 THEN 'cat' ELSE 'dog' END, timestamp '2026-01-01' + i * interval '1 s' "
            "FROM generate_series(1, 1000) t(i)"
        )

    def source(**options):
        sql = options.pop("sql", SqlConfig(table="public.pets", partition_on="id"))
        return SourceConfig(reader="sql", path=database.format("$PETS_PASSWORD"), sql=sql, **options)

    def execute(text):
        with psycopg.connect(database.format(SECRET).replace("+psycopg", "")) as connected:
            connected.execute(text)

    source.execute = execute
    return source


def test_a_table_is_read_in_ranges_each_row_once(run, pets):
    made, frame, _ = run(pets(partitions=4))
    assert (made.partitions, made.rows.rows, frame["id"].nunique()) == (4, 1000, 1000)
    assert frame["height"].sum() == pytest.approx(50050)
    assert set(frame["origin"]) == {"public.pets"}


def test_a_query_is_read_like_a_table(run, pets):
    _, frame, _ = run(pets(sql=SqlConfig(query="SELECT * FROM pets WHERE id <= 3;")))
    assert frame["id"].to_list() == ["1", "2", "3"]


def test_ranges_that_did_not_change_are_not_read_again(run, pets):
    source = pets(partitions=4)
    run(source)
    pets.execute("UPDATE pets SET height = 7 WHERE id = 1")
    made, frame, _ = run(source, name="more")
    assert made.read == 1
    assert frame.set_index("id")["height"]["1"] == 7


def test_a_time_column_is_a_watermark(run, pets):
    source = pets(watermark="changed")
    first, _, _ = run(source)
    pets.execute(f"INSERT INTO pets VALUES (1, 9, 'cat', '{datetime(2026, 2, 1)}')")
    more, frame, _ = run(source, name="more")
    assert (first.read, more.read, more.rows.rows) == (1, 1, 1000)
    assert frame.set_index("id")["height"]["1"] == 9


@pytest.mark.parametrize("fault", ["password", "table", "port"])
def test_what_is_wrong_is_named_without_the_password(run, pets, monkeypatch, fault, caplog, tmp_path):
    source = pets() if fault != "table" else pets(sql=SqlConfig(table="cats"))
    if fault == "password":
        monkeypatch.setenv("PETS_PASSWORD", "not-the-right-one")
    if fault == "port":
        source = source.model_copy(
            update={
                "path": source.path.replace("127.0.0.1:", "127.0.0.1:1")[:60].rsplit(":", 1)[0]
                + ":1/postgres"
            }
        )
    with pytest.raises(
        ValueError, match=r"source postgresql.*: .*look at source.path and source.sql"
    ) as error:
        run(source)
    assert SECRET not in str(error.value) + caplog.text
    assert "not-the-right-one" not in str(error.value) + caplog.text


def test_no_password_is_kept_in_records_or_files(run, pets, tmp_path, caplog):
    made, _, found = run(pets())
    assert SECRET not in found.model_dump_json() + made.rows.model_dump_json() + caplog.text
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()
    ]


@pytest.fixture(scope="module")
def s3(process):
    """The URL of an S3 server with a bucket of three files."""
    import socket

    import s3fs

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = process(str(Path(sys.executable).parent / "moto_server"), "-H", "127.0.0.1", "-p", str(port))
    url = f"http://127.0.0.1:{port}"
    until(lambda: urllib.request.urlopen(url, timeout=5).close(), server)
    system = s3fs.S3FileSystem(
        key="k", secret=SECRET, client_kwargs={"endpoint_url": url}, skip_instance_cache=True
    )
    system.mkdir("pets")
    for name, text in {"a": "1,1,cat\n", "b": '2,2,"dog"\n'}.items():
        system.pipe(f"pets/{name}.csv", f"id,height,kind\n{text}".encode())
    return url, system


def test_files_of_a_bucket_are_known_by_their_checksums(run, s3):
    url, system = s3
    options = {
        "key": "k",
        "secret": "$S3_SECRET",
        "client_kwargs": {"endpoint_url": url},
        "use_listings_cache": False,
    }
    source = SourceConfig(reader="csv", path="s3://pets/*.csv", options=options)
    first, frame, found = run(source)
    system.pipe("pets/c.csv", b"id,height,kind\n3,3,cat\n")
    more, _, _ = run(source, name="more")
    assert frame["origin"].to_list() == ["a.csv", "b.csv"]
    assert (first.read, more.read, more.rows.rows) == (2, 1, 3)
    assert SECRET not in found.model_dump_json()


@pytest.fixture(scope="module")
def web(process, tmp_path_factory):
    """The URL of an HTTP server and the folder that it shows."""
    import socket

    folder = tmp_path_factory.mktemp("web")
    (folder / "a.csv").write_text("id,height,kind\n1,1,cat\n")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = process(sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", str(folder), str(port))
    until(lambda: urllib.request.urlopen(f"http://127.0.0.1:{port}", timeout=5).close(), server)
    return f"http://127.0.0.1:{port}", folder


def test_a_file_of_the_web_is_known_by_its_content(run, web):
    url, folder = web
    source = SourceConfig(reader="csv", path=f"{url}/a.csv")
    first, frame, _ = run(source)
    same, _, _ = run(source, name="same")
    (folder / "a.csv").write_text("id,height,kind\n1,5,cat\n")
    more, changed, _ = run(source, name="more")
    assert (first.read, same.read, more.read) == (1, 0, 1)
    assert (frame["height"].to_list(), changed["height"].to_list(), frame["origin"].to_list()) == (
        [1],
        [5],
        ["a.csv"],
    )


def test_a_server_that_does_not_answer_is_given_up(run, free_port, tmp_path):
    import socket

    with socket.socket() as silent:
        silent.bind(("127.0.0.1", port := free_port()))
        silent.listen()
        source = SourceConfig(
            reader="csv", path=f"http://127.0.0.1:{port}/a.csv", limits=LimitsConfig(seconds=1)
        )
        with pytest.raises(
            ValueError,
            match=r"source http://127.0.0.1:\d+/a.csv: did not answer within 1 s; raise source.limits.seconds",
        ):
            run(source)
