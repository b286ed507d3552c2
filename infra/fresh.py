"""The README's first lines on a bare machine.

A new Debian root, its own apt line, its own commands, by a user with an empty home.

Both are read out of README.md, so what is tried is what a stranger would type. The root is made by
debootstrap from the mirror that this machine's apt uses. Everything runs in a mount and a process namespace
of its own: when that ends, however it ends, its mounts and its processes end with it.

    make fresh                                     Debian 12, every command
    make fresh DEBIAN=trixie ONLY="make demo"      Debian 13, one command
"""

import argparse
import fcntl
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

from infra.installer import pip_settings

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "gyre-fresh-"
USER_ID = 1000
HOME = "/home/stranger"
TOOLS = ("debootstrap", "unshare", "setpriv", "chroot", "git")
PASSED_ON = ("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "TERM")
"""And every variable of pip and uv that names no folder of this machine."""
OWN_FOLDERS = (
    "UV_CACHE_DIR",
    "UV_PYTHON",
    "UV_PROJECT",
    "PIP_CACHE_DIR",
    "PIP_CONFIG_FILE",
    "PIP_CONSTRAINT",
)


class FreshError(RuntimeError):
    """A step failed; the message names it."""


def main() -> int:
    """Runs the commands in a new root, or says why it cannot (exit 0: skipped; exit 1: one failed)."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--debian", default="bookworm", help="the release: bookworm, trixie")
    parser.add_argument("--only", default="", help="one of the README's commands, instead of all")
    parser.add_argument("--inside", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        commands = chosen_commands(options.only)
        if options.inside:
            return play(options.inside, options.debian, commands)
        if missing := what_is_missing():
            print(f"make fresh is skipped: {missing}", flush=True)
            return 0
        return start(options.debian, options.only)
    except FreshError as error:
        print(f"\nfresh: {error}", file=sys.stderr)
        return 1


def apt_line() -> str:
    """The README's one line of apt, without its sudo."""
    found = re.findall(r"`sudo (apt-get install [^`]+)`", (ROOT / "README.md").read_text(encoding="utf-8"))
    if len(found) != 1:
        raise FreshError(f"README.md has {len(found)} lines `sudo apt-get install ...`, not one")
    return " ".join(found[0].split())


def readme_commands() -> list[str]:
    """The commands of the README's first block, without their comments."""
    block = re.search(
        r"^```\n(.*?)^```", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    lines = block.group(1).splitlines() if block else []
    return [line.partition("#")[0].strip() for line in lines if line.strip()]


def chosen_commands(only: str) -> list[str]:
    """All of the README's commands, or the one asked for. Raises FreshError where the README has no such."""
    commands = readme_commands()
    if only and only not in commands:
        raise FreshError(f"--only {only!r}: the README's commands are {', '.join(commands)}")
    return [only] if only else commands


def what_is_missing() -> str:
    """Why a root cannot be made here; empty where it can."""
    if os.geteuid() != 0:
        return "it needs root, to make a Debian root with its own mounts (sudo make fresh)"
    absent = [tool for tool in TOOLS if not shutil.which(tool)]
    return (
        f"it needs {', '.join(absent)} (on Debian: apt-get install debootstrap util-linux git)"
        if absent
        else ""
    )


def start(debian: str, only: str) -> int:
    """Plays everything in namespaces of its own, and removes the root afterwards."""
    # However this process is ended it cleans up. A shell's background job ignores interrupts unless told
    # otherwise.
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sign, lambda number, _: sys.exit(128 + number))
    with scratch_root() as root:
        inside = [
            sys.executable,
            "-m",
            "infra.fresh",
            "--inside",
            str(root),
            "--debian",
            debian,
            "--only",
            only,
        ]
        # The first kills the namespaces with this process, the second everything in them: nothing outlives
        # the command, not even kill -9.
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "unshare",
            "--mount",
            "--mount-proc",
            "--pid",
            "--fork",
            "--kill-child",
            *inside,
        ]
        with subprocess.Popen(command, cwd=ROOT) as process:
            try:
                return process.wait()
            finally:
                process.kill()


@contextmanager
def scratch_root() -> Iterator[Path]:
    """A folder for the root, removed at the end; those that killed runs left are removed first."""
    place = Path(os.environ.get("TMPDIR", "/var/tmp"))  # noqa: S108 - /tmp may be memory, and a root takes 8 GB
    for abandoned in place.glob(f"{PREFIX}*"):
        with suppress(BlockingIOError), lock_folder(abandoned):
            print(f"Removing {abandoned}, left by a run that was killed", flush=True)
            remove(abandoned)
    root = Path(tempfile.mkdtemp(prefix=PREFIX, dir=place))
    # Others enter it: its user is not root.
    root.chmod(0o755)
    with lock_folder(root):
        try:
            yield root
        finally:
            remove(root)


def remove(root: Path) -> None:
    """Removes a root whose processes are being killed: until the last has ended, it may still write.

    Its mounts were never seen here.
    """
    for _ in range(60):
        shutil.rmtree(root, ignore_errors=True)
        if not root.exists():
            return
        time.sleep(0.5)
    shutil.rmtree(root)


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Holds a folder while its run lives. Raises BlockingIOError where another does."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)


def play(root: Path, debian: str, commands: list[str]) -> int:
    """Inside the namespaces: makes the root, then types what the README says. Raises FreshError."""
    settings = pip_settings(sys.executable)
    steps = 3 + len(commands)
    with step(f"[1/{steps}] debootstrap {debian}"):
        make_root(root, debian)
    mount_machine(root)
    with step(f"[2/{steps}] {apt_line()}"):
        apt = "export DEBIAN_FRONTEND=noninteractive; apt-get update -q && " + apt_line().replace(
            "install", "install -y -q", 1
        )
        enter(root, apt, {}, user=0)
    with step(f"[3/{steps}] a clone of the last commit, and a user with an empty home"):
        clone(root)
        # After apt: it renames the file of certificates, and that fails for one that is mounted.
        mount_places(root, settings)
    for number, command in enumerate(commands, 4):
        with step(f"[{number}/{steps}] {command}"):
            enter(root, f"cd {HOME}/gyre && {command}", stranger_environment(settings), user=USER_ID)
            require_no_process_left(command)
    print(f"In a new Debian {debian}: {'; '.join([apt_line(), *commands])}", flush=True)
    return 0


def make_root(root: Path, debian: str) -> None:
    """A minimal Debian, from the mirror that apt uses here or else debootstrap's own."""
    mirror = apt_mirror()
    # Without certificates apt in the root could not read a mirror over TLS.
    include = ["--include=ca-certificates"] if mirror.startswith("https") else []
    log = root / "debootstrap.log"
    with log.open("wb") as output:
        command = ["debootstrap", "--variant=minbase", *include, debian, str(root), *filter(None, [mirror])]
        if subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=False).returncode:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-10:])
            raise FreshError(f"debootstrap {debian} failed:\n{tail}")
    for name in ("etc/resolv.conf", "etc/hosts"):
        shutil.copyfile(f"/{name}", root / name)
    dumped = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=False).stdout
    proxies = [line for line in dumped.splitlines() if re.match(r"Acquire::https?::Proxy ", line)]
    (root / "etc/apt/apt.conf.d/proxy").write_text("\n".join(proxies) + "\n")


def apt_mirror() -> str:
    """The mirror of Debian that apt uses on this machine; empty where it uses none."""
    wanted = ["apt-get", "indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)", "Created-By: Packages"]
    listed = subprocess.run(wanted, capture_output=True, text=True, check=False).stdout
    mirrors = [line.rpartition(" ")[2] for line in listed.splitlines() if line.startswith("Debian Debian ")]
    return mirrors[0] if mirrors else ""


def mount_machine(root: Path) -> None:
    """What a running machine has: processes and shared memory."""
    mount("-t", "proc", "proc", str(root / "proc"))
    (root / "dev/shm").mkdir(exist_ok=True)
    mount("-t", "tmpfs", "tmpfs", str(root / "dev/shm"))


def mount_places(root: Path, settings: dict[str, str]) -> None:
    """The folders of packages and the certificates that pip was told of, read-only."""
    for place in local_places(settings):
        target = root / place.relative_to("/")
        if place.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch()
        mount("--bind", str(place), str(target))
        mount("-o", "remount,bind,ro", str(target))


def mount(*arguments: str) -> None:
    """Raises FreshError where it fails."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FreshError(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def local_places(settings: dict[str, str]) -> list[Path]:
    """Folders and files of this machine that pip's settings name: wheels, indexes, the certificate."""
    paths = []
    for option in ("index-url", "extra-index-url", "find-links", "cert"):
        for value in settings.get(option, "").split():
            if value.startswith(("/", "file://")):
                path = Path(urlsplit(value).path)
                # An index's pages name files beside its own folder.
                paths.append(path.parent if "index" in option else path)
    return [path for path in dict.fromkeys(paths) if path.exists()]


def clone(root: Path) -> None:
    """The last commit, owned by the root's user. What is not committed is not in it, and that is said."""
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    if changed:
        print(
            f"      not in the clone, for it is not committed: {len(changed.splitlines())} files", flush=True
        )
    home = root / HOME.lstrip("/")
    home.mkdir(parents=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", str(ROOT), str(home / "gyre")], check=True)
    enter(
        root,
        f"useradd -u {USER_ID} -d {HOME} -s /bin/bash stranger && chown -R {USER_ID}:{USER_ID} {HOME}",
        {},
        user=0,
    )


def stranger_environment(settings: dict[str, str]) -> dict[str, str]:
    """What the user of the root is told.

    The package indexes and proxies of this machine, and nothing of its folders.
    """
    told = {f"PIP_{option.upper().replace('-', '_')}": value for option, value in settings.items()}
    here = {name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("UV_")}
    return {name: value for name, value in {**told, **here}.items() if name not in OWN_FOLDERS} | {
        "GYRE_ACCELERATOR": "cpu"
    }


def enter(root: Path, command: str, environment: dict[str, str], user: int) -> None:
    """Runs a shell command in the root, as one of its users. Raises FreshError."""
    base = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG": "C.UTF-8",
        "HOME": HOME if user else "/root",
    }
    inside = ["chroot", f"--userspec={user}:{user}", str(root), "/bin/sh", "-c", command]
    code = subprocess.run(
        inside, env={**environment, **base}, stdin=subprocess.DEVNULL, check=False
    ).returncode
    if code:
        raise FreshError(f"`{command}` ended with {code} in the new root; its reason is above")


def require_no_process_left(command: str) -> None:
    """Everything that the command started has ended.

    This process is the namespace's first, so orphans are its own. Raises FreshError.
    """
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not (left := children()):
            return
        time.sleep(0.5)
    raise FreshError(f"`{command}` left processes behind: {'; '.join(left)}")


def children() -> list[str]:
    """The command lines of this process's children, orphans that it inherited included."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(os.getpid())], capture_output=True, text=True, check=False
    ).stdout
    return [shlex.quote(line.strip()) for line in listed.splitlines() if " ps -o " not in line]


@contextmanager
def step(what: str) -> Iterator[None]:
    """Says what begins and how long it took."""
    print(what, flush=True)
    started = time.monotonic()
    yield
    print(f"      {what.partition('] ')[2]}: {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    sys.exit(main())
