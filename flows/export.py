"""What `gyre export` does.

A released model, or a bundle that is given, as a folder that answers elsewhere.
"""

from enum import StrEnum
from pathlib import Path
from typing import Any

from configs.load import load
from infra.files import DigestError, verify
from infra.settings import Settings
from tasks.production.releases import Releases, find_version


class Target(StrEnum):
    """Where the model is to answer."""

    browser = "browser"
    c = "c"
    onnx = "onnx"
    docker = "docker"
    mlflow = "mlflow"
    triton = "triton"
    kserve = "kserve"


def export_model(
    settings: Settings,
    project: str,
    target: Target,
    version: int | None,
    output: Path,
    storage: str | None = None,
) -> dict[str, Any]:
    """Writes the folder; what was written, ready to be printed.

    project: a name or the path of a YAML, for the version that serves or `version`; or a bundle's folder
    storage: for kserve, where the cluster will find the folder `repository`. Raises ValueError naming what is
    wrong with the project, the version, the bundle, the output or the program.
    """
    from tasks.export import server_targets as servers
    from tasks.export.targets import export_browser, export_c

    if storage is not None and target is not Target.kserve:
        raise ValueError(f"--storage {storage}: goes with --to kserve")
    bundle, title, number = bundle_of(settings, project, version)
    match target:
        case Target.browser:
            made = export_browser(bundle, title, output, settings.home.runtimes)
        case Target.c:
            made = export_c(bundle, title, output)
        case Target.onnx:
            made = servers.export_onnx(bundle, title, number, output)
        case Target.docker:
            made = servers.export_docker(bundle, title, number, output)
        case Target.mlflow:
            made = servers.export_mlflow(bundle, title, number, output)
        case Target.triton:
            made = servers.export_triton(bundle, title, number, output)
        case Target.kserve:
            made = servers.export_kserve(bundle, title, number, output, storage)
    told = {"model": title, "to": target.value, "folder": str(output), "bytes": made.sizes}
    if made.trial is None:
        return told | {"untried": made.untried}
    return told | {"tried_rows": made.trial.rows, "largest_difference": made.trial.difference}


def bundle_of(settings: Settings, project: str, version: int | None) -> tuple[Path, str, int | None]:
    """A bundle's folder, checked against its digest where it was released, what the model is called, and its version.

    Raises ValueError.
    """
    if (folder := Path(project)).is_dir():
        if version is not None:
            raise ValueError(f"{project}: is a bundle's folder, which has one version; leave --version out")
        return folder, folder.resolve().name, None
    name = load(project, folder=settings.projects).name
    served = find_version(Releases(settings.home.releases).read(name), version, "to export")
    try:
        bundle = verify(served.uri, served.digest)
    except (DigestError, FileNotFoundError) as error:
        raise ValueError(f"{name}: the bundle of version {served.version} is damaged: {error}") from None
    return bundle, f"{name} version {served.version}", served.version
