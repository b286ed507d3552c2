"""Prefect's server, MLflow's and the report pages, each behind the guard (infra/guard.py) in one process.

python -m infra.services.launch infra.services.web:prefect
"""

import os
import stat
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvicorn
from starlette.exceptions import HTTPException
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from infra.guard import Application, Guard, by_credential
from infra.imports import resolve, without_collections
from infra.settings import Settings

HEALTH = "/health"
"""Answers without a credential, and tells nothing."""


def prefect() -> None:
    """Prefect's server: API, scheduler, automations and UI. It asks for the credential itself, as its UI wants."""
    settings = Settings()
    with without_collections():
        application = resolve("prefect.server.api.server:create_app")(final=True)
    guarded = Guard(
        application, settings.names, by_credential(settings.credential, lambda method, path: True)
    )
    serve(guarded, settings, settings.prefect_port)


def mlflow() -> None:
    """MLflow's pages."""
    settings = Settings()
    os.environ |= {
        "_MLFLOW_SERVER_FILE_STORE": settings.tracking_uri,
        "_MLFLOW_SERVER_REGISTRY_STORE": settings.tracking_uri,
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(settings.home.make(settings.home.mlflow_artifacts)),
        # Nine processes that Gyre never uses.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        # The guard has looked at it.
        "MLFLOW_SERVER_ALLOWED_HOSTS": "*",
    }
    with without_collections():
        application = resolve("mlflow.server.fastapi_app:app")
    guarded = Guard(application, settings.names, by_credential(settings.credential, is_health))
    serve(guarded, settings, settings.mlflow_port)


def reports() -> None:
    """The home's `reports` folder, read-only."""
    settings = Settings()
    pages = Reports(directory=settings.home.make(settings.home.reports))
    guarded = Guard(pages, settings.names, by_credential(settings.credential, is_health))
    serve(guarded, settings, settings.reports_port)


def is_health(_: str, path: str) -> bool:
    """Whether a path is the one that anybody may ask for."""
    return path == HEALTH


def serve(application: Application, settings: Settings, port: int) -> None:
    """Serves until SIGTERM or SIGINT."""
    uvicorn.run(
        application, host=settings.host, port=port, log_level="warning", access_log=False, server_header=False
    )


class Reports(StaticFiles):
    """Files, and a folder's page or a list of what is in it."""

    async def get_response(self, path: str, scope: Any) -> Response:
        """Of a path below the folder; outside it nothing is found."""
        if scope["path"] == HEALTH:
            return Response(status_code=200)
        full, found = self.lookup_path(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return await super().get_response(path, scope)
        if scope["method"] not in ("GET", "HEAD"):
            raise HTTPException(405)
        if not scope["path"].endswith("/"):
            return RedirectResponse(quote(scope["path"] + "/"))
        index = Path(full, "index.html")
        return FileResponse(index) if index.is_file() else HTMLResponse(listing(Path(full), scope["path"]))


def listing(folder: Path, title: str) -> str:
    """An HTML page of the names in a folder; names that begin with a dot are files still being written."""
    names = sorted(
        f"{path.name}/" if path.is_dir() else path.name
        for path in folder.iterdir()
        if not path.name.startswith(".")
    )
    lines = [f'<li><a href="{quote("./" + name)}">{escape(name)}</a></li>' for name in names]
    return f"<!doctype html><title>{escape(title)}</title><h1>{escape(title)}</h1><ul>{''.join(lines)}</ul>"
