"""`gyre data`: what goes into a model, looked at and looked after."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from configs.load import load
from configs.project import Project
from flows.terminal import Json, ProjectName, console, emit, enter, print_rows
from infra.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    help="Look at a source, propose rules, and compare, fetch or clear versions of a data set.",
)
REMOTE = "Another remote than the project's; `versioning.remote_options` go with it."
Version = Annotated[str, typer.Argument(metavar="VERSION", help="Such as 3 or v3.")]


@app.command()
def infer(
    source: Annotated[
        str, typer.Argument(help="A file, folder or glob, or a URL: s3://, https://, postgresql://...")
    ],
    table: Annotated[str | None, typer.Option(help="Of a database: the table to look at.")] = None,
) -> None:
    """Print the `source` section for a file, URL or database: types, missing values, units, a key.

    With what was noticed.

    Of a folder or archive of images it prints `intake` and `result` too.
    """
    from tasks.ingestion.schema_inference.images import holds_images, infer_images
    from tasks.ingestion.schema_inference.tables import infer_files, to_yaml

    enter()
    # A path in a YAML is relative to its folder, which need not be this one.
    place = str(Path(source).resolve()) if "://" not in source else source
    sys.stdout.write(infer_images(place).yaml if holds_images(place) else to_yaml(infer_files(place, table)))


@app.command()
def propose(
    project: ProjectName,
    version: Annotated[str | None, typer.Option(help="The good version; by default the newest.")] = None,
) -> None:
    """Print the `expectations` that a version's rows keep, with margins and the evidence for each, for a person to edit."""
    from tasks.rows.parts import part_paths
    from tasks.validation.proposal.propose import propose as proposed
    from tasks.validation.proposal.report import to_yaml

    settings, config = of(project)
    folder = laid_out(settings, config.name, number_of(version) if version else newest(settings, config.name))
    sys.stdout.write(to_yaml(proposed(part_paths(folder), label=config.result.label)))


@app.command()
def versions(project: ProjectName, json: Json = False) -> None:
    """List a project's data set versions: rows, splits, commit."""
    settings, config = of(project)
    found = repository(settings, config).described(config.name)
    emit(found) if json else print_rows(found)


@app.command()
def diff(project: ProjectName, before: Version, now: Version, json: Json = False) -> None:
    """What changed between two versions: rows, columns, labels, statistics."""
    from dataclasses import asdict

    from tasks.result import build_result
    from tasks.versioning.diff import difference

    settings, config = of(project)
    old, new = (laid_out(settings, config.name, number_of(version)) for version in (before, now))
    found = difference(old, new, build_result(config.result).label)
    if json:
        emit(asdict(found))
        return
    console.print(f"[bold]{found.summary}[/]")
    for title, columns in (
        ("columns added", found.columns_added),
        ("columns removed", found.columns_removed),
    ):
        if columns:
            console.print(f"{title}: {', '.join(columns)}")
    if found.labels:
        print_rows(
            [{"label before": was, "label now": is_now, "rows": rows} for was, is_now, rows in found.labels]
        )
    print_rows(list(found.statistics))


@app.command()
def checkout(
    project: ProjectName, version: Version, folder: Annotated[Path, typer.Argument(help="A new folder.")]
) -> None:
    """Put a version's rows, Parquet parts, into a new folder."""
    settings, config = of(project)
    repository(settings, config).checkout(config.name, number_of(version), folder)
    console.print(f"{config.name} v{number_of(version)} is in {folder}")


@app.command()
def tag(
    project: ProjectName, version: Version, name: Annotated[str, typer.Argument(help="Such as golden.")]
) -> None:
    """Give a version a name, which keeps it from being cleared."""
    settings, config = of(project)
    console.print(
        f"{repository(settings, config).tag(config.name, number_of(version), name)} is v{number_of(version)}"
    )


@app.command()
def push(project: ProjectName, to: Annotated[str | None, typer.Option(help=REMOTE)] = None) -> None:
    """Send the files of all versions to a DVC remote: a folder, s3://, gs://, azure:// or ssh://."""
    from tasks.versioning.transfer import push as pushed

    settings, config = of(project)
    console.print(
        f"{pushed(repository(settings, config), config.name, to, config.versioning.remote_options if to else {})} files sent"
    )


@app.command()
def pull(
    project: ProjectName, source: Annotated[str | None, typer.Option("--from", help=REMOTE)] = None
) -> None:
    """Fetch the files of all versions from a DVC remote, and lay them out."""
    from tasks.versioning.transfer import pull as pulled

    settings, config = of(project)
    options = config.versioning.remote_options if source else {}
    console.print(
        f"{pulled(repository(settings, config), config.name, settings.home.datasets, source, options)} files fetched"
    )


@app.command()
def card(
    project: ProjectName, version: Annotated[str | None, typer.Argument(help="By default the newest.")] = None
) -> None:
    """Write a version's data card: one HTML file with its statistics, samples, labels and origin."""
    from tasks.intake import build_intake
    from tasks.versioning.data_card import card as written

    settings, config = of(project)
    folder = settings.home.make_report_folder(config.name, "data")
    known, number = (
        repository(settings, config),
        number_of(version) if version else newest(settings, config.name),
    )
    path = written(
        config.name,
        number,
        known,
        build_intake(config.intake),
        config.result.label,
        settings.home.datasets,
        folder,
    )
    console.print(str(path))


@app.command()
def gc(
    project: ProjectName,
    keep: Annotated[int, typer.Option(min=1, help="Newest versions that stay in any case.")] = 5,
    days: Annotated[
        float,
        typer.Option(min=0, help="What no run asked for so long goes, and is made again where one does."),
    ] = 30,
    yes: Annotated[bool, typer.Option("--yes", help="Remove them; without it they are only listed.")] = False,
) -> None:
    """Remove old versions without a name that no registered model was trained on, here and in the remote, and what is out of use."""
    from tasks.deployment.registry import registered_versions
    from tasks.garbage_collection import outcomes
    from tasks.garbage_collection.disk_usage import bytes_of_these_alone
    from tasks.garbage_collection.partitions import remove_partitions, unused_partitions
    from tasks.garbage_collection.versions import (
        files_of_these_alone,
        remove_versions,
        size_in_cache,
        surplus_versions,
    )

    settings, config = of(project)
    repo = repository(settings, config)
    needed = {
        number_of(str(model["dataset"]).rpartition("/")[2])
        for model in registered_versions()
        if model["model"] == config.name
    }
    found = surplus_versions(repo, config.name, keep, needed)
    megabytes = size_in_cache(repo, files_of_these_alone(repo, config.name, found)) / 1e6
    names = ", ".join(f"v{version}" for version in found) or "nothing"
    console.print(
        f"{'Removing' if yes else 'Would remove'}: {names}, {megabytes:.3g} MB that no other version has"
    )
    partitions = unused_partitions(settings.home.partitions, days)
    console.print(
        f"{len(partitions)} partitions of sources that no run asked for in {days:g} days, {bytes_of_these_alone(partitions) / 1e6:.3g} MB"
    )
    records = Path(settings.environment()["PREFECT_LOCAL_STORAGE_PATH"])
    left = outcomes.unused_outcomes(
        settings.home, records, days, {f"{config.name}/v{version}" for version in found}
    )
    console.print(
        f"{len(left)} outcomes and quarantines that no version names and no run asked for either, {bytes_of_these_alone(left) / 1e6:.3g} MB"
    )
    if yes and found:
        remove_versions(repo, config.name, found, settings.home.datasets)
    if yes:
        remove_partitions(partitions)
        outcomes.remove_outcomes(left, records)


def of(project: str) -> tuple[Settings, Project]:
    """The installation and the project."""
    settings = enter()
    return settings, load(project, folder=settings.projects)


def repository(settings: Settings, config: Project) -> Any:
    """The data repo. Raises ValueError where no cycle has made it yet."""
    from tasks.versioning.task import repository_of

    found = repository_of(config.versioning, settings)
    if not (found.root / ".git").is_dir():
        raise ValueError(f"{config.name}: no version yet in {found.root}; `gyre run {config.name}` makes one")
    return found


def number_of(version: str) -> int:
    """The number in 3 or v3. Raises ValueError."""
    text = version.removeprefix("v")
    if not text.isdigit():
        raise ValueError(f"{version!r} is no version; want a number such as 3 or v3")
    return int(text)


def newest(settings: Settings, project: str) -> int:
    """The newest version that is laid out."""
    found = [int(path.name[1:]) for path in (settings.home.datasets / project).glob("v*")]
    if not found:
        raise ValueError(f"{project}: no version yet; `gyre run {project}` makes one")
    return max(found)


def laid_out(settings: Settings, project: str, version: int) -> Path:
    """The folder of a version's parts. Raises ValueError naming those that are there."""
    folder = settings.home.dataset(project, version)
    if not folder.is_dir():
        there = ", ".join(sorted(path.name for path in folder.parent.glob("v*"))) or "none"
        raise ValueError(f"{project}: no version {version}; there are {there}")
    return folder
