"""An outcome's key follows the code that makes it: every file that a stage may run, and nothing else."""

import importlib
import shutil
import sys
from pathlib import Path

import grimp
import pytest
from prefect import Task
from prefect.cache_policies import NO_CACHE

import tasks
from tasks.pipeline.code import Code
from tasks.pipeline.code.memory import KEPT, Memory

ROOT = Path(tasks.__file__).parents[1]
PACKAGES = ("configs", "infra", "tasks")
CHANGE = "\nADDED = 1\n"


def modules_of_stages():
    """The task.py of every stage, with its tasks whose outcomes are kept."""
    for path in sorted((ROOT / "tasks").glob("*/task.py")):
        name = f"tasks.{path.parent.name}.task"
        members = vars(importlib.import_module(name)).values()
        if any(isinstance(each, Task) and each.cache_policy is not NO_CACHE for each in members):
            yield name


STAGES = list(modules_of_stages())


@pytest.fixture(scope="module", autouse=True)
def memory_of_this_file(tmp_path_factory):
    """What these tests parse is kept beside them, not beside the byte code of who runs them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tasks.pipeline.code.memory.KEPT", tmp_path_factory.mktemp("memory") / KEPT.name)
        patch.setattr(sys, "dont_write_bytecode", False)
        yield


def keys(root):
    code = Code(root)
    return {stage: code.digest(stage) for stage in STAGES}


class Copy:
    """Gyre's packages in a folder where they may be changed."""

    def __init__(self, root):
        self.root = root
        for package in PACKAGES:
            shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        self.keys = keys(root)

    def changed(self, path, text):
        """The stages whose key another text of a file changes."""
        content = path.read_bytes()
        try:
            path.write_text(text)
            after = keys(self.root)
        finally:
            path.write_bytes(content)
        return {stage for stage in STAGES if self.keys[stage] != after[stage]}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("code"))


def test_every_stage_is_looked_at():
    assert {stage.split(".")[1] for stage in STAGES} >= {
        "ingestion",
        "validation",
        "labeling",
        "versioning",
        "training",
        "compilation",
    }


def test_a_changed_module_changes_the_keys_of_the_stages_that_may_run_it_and_no_others(copy):
    code, wrong = Code(copy.root), []
    reach = {stage: set(code.closure(stage, (copy.root,)).modules.values()) for stage in STAGES}
    # The largest module of each folder: all modules would take minutes.
    largest = {
        path.parent: path for path in sorted(copy.root.rglob("*.py"), key=lambda path: path.stat().st_size)
    }
    for path in largest.values():
        expected = {stage for stage in STAGES if path in reach[stage]}
        if copy.changed(path, path.read_text() + CHANGE) != expected:
            wrong.append(str(path.relative_to(copy.root)))
    assert len(largest) > 40
    assert wrong == []


@pytest.mark.parametrize("stage", STAGES)
def test_a_closure_holds_whatever_another_tool_finds_imported(stage):
    graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=True, cache_dir=None)
    assert graph.find_upstream_modules(stage) - set(Code(ROOT).closure(stage, (ROOT,)).modules) == set()


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("tasks/rows/raw.py", "compilation"),
        ("tasks/model/onnx_parts.py", "compilation"),
        ("tasks/intake/tabular.py", "compilation"),
        ("tasks/rows/versions.py", "versioning"),
        ("tasks/records/data.py", "labeling"),
        ("tasks/training/loop.py", "training"),
        ("infra/ranks/run.py", "training"),
        ("infra/files.py", "validation"),
        ("configs/optimization.py", "optimization"),
    ],
)
def test_what_a_stage_uses_from_afar_is_part_of_its_key(copy, file, stage):
    path = copy.root / file
    assert f"tasks.{stage}.task" in copy.changed(path, path.read_text() + CHANGE)


@pytest.mark.parametrize(
    "file", ["tasks/serving/rest/application.py", "tasks/lineage/trace.py", "infra/services/daemon.py"]
)
def test_what_no_stage_uses_changes_no_key(copy, file):
    path = copy.root / file
    assert copy.changed(path, path.read_text() + CHANGE) == set()


def test_stages_do_not_share_a_closure_through_their_tasks():
    code = Code(ROOT)
    for stage in STAGES:
        others = {each for each in STAGES if each != stage}
        assert others & set(code.closure(stage, (ROOT,)).modules) == set()


def test_comments_docstrings_and_layout_change_no_key(copy):
    path = copy.root / "tasks" / "result" / "confidence_interval.py"
    text = path.read_text()
    assert "def interval(" in text
    laid_out = text.replace('"""How far', '"""Elsewhere, how far').replace(
        "def interval(values", "# told\n\n\ndef interval(\n    values"
    )
    assert laid_out != text
    assert copy.changed(path, laid_out) == set()


@pytest.mark.parametrize("file", ["horovod.patch", "shared_memory.h"])
def test_what_horovod_is_built_from_is_part_of_trainings_key(copy, file):
    path = copy.root / "infra" / "horovod" / file
    assert copy.changed(path, path.read_text() + "\n") == {"tasks.training.task"}


def test_another_version_of_a_library_changes_the_keys_of_the_stages_that_use_it(monkeypatch):
    before = keys(ROOT)
    real = Memory.version
    monkeypatch.setattr(
        Memory, "version", lambda self, name: "optuna 99" if name == "optuna" else real(self, name)
    )
    after = keys(ROOT)
    assert {stage for stage in STAGES if before[stage] != after[stage]} == {"tasks.training.task"}


def test_a_library_is_known_by_its_distribution():
    memory = Memory()
    assert memory.version("PIL").startswith("pillow ") and memory.version("yaml").startswith("PyYAML ")
    assert memory.version("no_such_library") == ""


def test_what_was_parsed_before_is_not_parsed_again(monkeypatch):
    first = keys(ROOT)

    def parsed_again(source):
        pytest.fail("parsed again")

    monkeypatch.setattr("tasks.pipeline.code.memory.parse", parsed_again)
    assert keys(ROOT) == first


def test_a_damaged_memory_is_made_anew(monkeypatch, tmp_path):
    monkeypatch.setattr("tasks.pipeline.code.memory.KEPT", tmp_path / KEPT.name)
    (tmp_path / KEPT.name).write_text('{"files": [')
    assert Code(ROOT).digest("tasks.training.task") == keys(ROOT)["tasks.training.task"]
    assert Memory().known


INPUTS = b'{"training": {"network": "users_net:Net"}}'


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder with a network that imports three other files there, as it may lie beside a YAML."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "blocks").mkdir()
    (tmp_path / "blocks" / "__init__.py").write_text("")
    (tmp_path / "blocks" / "wide.py").write_text("from .sizes import WIDTH\n")
    (tmp_path / "blocks" / "sizes.py").write_text("WIDTH = 3\n")
    (tmp_path / "users_words.txt").write_text("yes\nno\n")
    (tmp_path / "unused.py").write_text("WIDTH = 3\n")
    (tmp_path / "users_net.py").write_text(
        "from pathlib import Path\n\nWORDS = Path(__file__).with_name('users_words.txt')\n\n"
        "def Net(shape, outputs):\n    from blocks.wide import WIDTH\n    return WIDTH\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("users_net.py", True),
        ("blocks/wide.py", True),
        ("blocks/sizes.py", True),
        ("users_words.txt", True),
        ("unused.py", False),
    ],
)
def test_a_users_network_counts_with_all_that_it_imports_beside_the_yaml(beside, file, counts):
    before = Code(ROOT).digest("tasks.training.task", INPUTS)
    path = beside / file
    path.write_text(path.read_text() + CHANGE)
    assert (Code(ROOT).digest("tasks.training.task", INPUTS) != before) is counts


def test_a_users_code_is_never_run_to_be_known(beside):
    (beside / "blocks" / "__init__.py").write_text("raise RuntimeError('imported')\n")
    assert Code(ROOT).digest("tasks.training.task", b'{"network": "blocks.wide:Wide"}')
    assert "blocks" not in sys.modules


def test_an_installed_network_counts_by_its_version(monkeypatch):
    inputs = b'{"network": "sklearn.svm:SVC"}'
    before = Code(ROOT).digest("tasks.validation.task", inputs)
    real = Memory.version
    monkeypatch.setattr(
        Memory, "version", lambda self, name: "sklearn 99" if name == "sklearn" else real(self, name)
    )
    assert Code(ROOT).digest("tasks.validation.task", inputs) != before


def test_a_url_names_no_code():
    assert Code(ROOT).digest("tasks.validation.task", b'{"address": "tcp:host"}')
