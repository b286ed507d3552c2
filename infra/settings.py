"""Where one installation lives.

Its home folder, its ports, its URLs, and the environment that all its processes share.

Read from the environment (`GYRE_HOME`, `GYRE_SERVER_PORT`, ...) and from `settings.yaml` in the home; the
environment wins.
"""

import os
import re
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)

from configs.load import BUNDLED
from infra.credentials import Credential, read_credential
from infra.home import Home

ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:]+\](:[0-9]{1,5})?")


def items_of(text: str) -> tuple[str, ...]:
    """What a setting lists with commas between."""
    return tuple(filter(None, (each.strip() for each in text.split(","))))


def as_home(value: Any) -> Home:
    """A home by its folder's path."""
    return value if isinstance(value, Home) else Home(Path(value))


def is_loopback(host: str) -> bool:
    """Whether an address is one that no other machine reaches; a name may lead anywhere."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """One installation.

    Everything binds `host`, which is loopback: what the services say is not encrypted, but for the model
    server's where it has a certificate.
    """

    model_config = SettingsConfigDict(
        env_prefix="GYRE_", frozen=True, extra="forbid", use_attribute_docstrings=True
    )

    # Told as its path, and read from the environment as one: without NoDecode it would have to be JSON there.
    home: Annotated[Home, NoDecode, BeforeValidator(as_home), PlainSerializer(str)] = Home(Path(".gyre"))
    """Everything of this installation: data, models, logs, databases."""
    projects: Path = BUNDLED
    """Folder whose YAML files get deployments."""
    host: str = "127.0.0.1"
    allowed_hosts: str = ""
    """More names under which browsers reach the services, such as a reverse proxy's, with commas between
    them."""
    anonymous: Literal["refuse", "answer", "log"] = "answer"
    """Inference without the installation's credential or a token: refused, answered but not logged, or logged
    as production traffic. On an address that other machines reach it is refused whatever this says."""
    server_certificate: str = ""
    """PEM file of the model server's certificate and its chain: with `server_key` it speaks TLS."""
    server_key: str = ""
    """PEM file of that certificate's private key."""
    prefect_port: int = Field(default=4200, ge=1, le=65535)
    mlflow_port: int = Field(default=5000, ge=1, le=65535)
    server_port: int = Field(default=8080, ge=1, le=65535)
    grpc_port: int = Field(default=8082, ge=1, le=65535)
    """Where the model server speaks gRPC."""
    server_processes: int = Field(default=1, ge=1, le=64)
    """Processes of the model server behind its ports. One answers thousands of requests a second; more of them
    use more cores, and the others go on answering when one ends."""
    server_memory_mb: int = Field(default=0, ge=0)
    """Megabytes that the model server's processes may take together: where there are more models than fit, those
    that were asked least recently leave memory, and are read again when somebody asks. 0: three quarters of
    the machine's or container's.
    """
    access_log: bool = False
    """Whether each HTTP request to the model server is a line of JSON in the home's logs/access.log: who asked
    what, with which answer and how long it took, and nothing that was sent."""
    cors_origins: str = ""
    """Origins, with commas between, whose pages may ask the model server from a browser, such as
    https://shop.example.com. They send a token; the reader's own credentials never go along."""
    outbound_origins: str = ""
    """What the model server may call for async requests, with commas between: origins of webhooks and of
    files, such as https://hooks.example.com. Nothing else is called, and no redirect is followed."""
    reports_port: int = Field(default=8081, ge=1, le=65535)

    def model_post_init(self, _: Any) -> None:
        """Paths are absolute from here on: services and flow runs have working folders of their own."""
        object.__setattr__(self, "home", Home(self.home.root.absolute()))
        object.__setattr__(self, "projects", self.projects.absolute())
        for name in ("server_certificate", "server_key"):
            if given := getattr(self, name):
                object.__setattr__(self, name, str(Path(given).absolute()))

    @model_validator(mode="after")
    def certificate_and_key_are_there(self) -> "Settings":
        """One without the other, or a file that is missing, would let the model server start and end again and again."""
        if bool(self.server_certificate) != bool(self.server_key):
            raise ValueError("server_certificate and server_key go together; give both, or neither")
        for given in filter(None, (self.server_certificate, self.server_key)):
            if not Path(given).is_file():
                raise ValueError(f"{given}: no such file; server_certificate and server_key name PEM files")
        return self

    @model_validator(mode="after")
    def origins_are_origins(self) -> "Settings":
        """A browser sends an origin exactly so; another spelling would never fit, and nobody would know."""
        for name in ("cors_origins", "outbound_origins"):
            for origin in items_of(getattr(self, name)):
                if not ORIGIN.fullmatch(origin):
                    raise ValueError(
                        f"{name}: {origin!r} is no origin; want such as https://shop.example.com"
                    )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment, then settings.yaml in the home."""
        home = Home(Path(os.environ.get("GYRE_HOME", ".gyre")))
        return (
            init_settings,
            env_settings,
            YamlConfigSettingsSource(settings_cls, yaml_file=home.settings),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What a request's Host may be, besides the loopback's names."""
        return tuple(
            filter(None, (self.host, *(name.strip().lower() for name in self.allowed_hosts.split(","))))
        )

    @property
    def pages(self) -> tuple[str, ...]:
        """Origins whose pages may ask the model server."""
        return items_of(self.cors_origins)

    @property
    def answers_anybody(self) -> bool:
        """Whether the model server answers callers that show nothing."""
        return self.anonymous != "refuse" and (self.host == "localhost" or is_loopback(self.host))

    @property
    def credential(self) -> Credential:
        """User and password of this installation, made where there are none yet."""
        return read_credential(self.home.credentials)

    @property
    def prefect_url(self) -> str:
        """The Prefect server and its UI."""
        return f"http://{self.host}:{self.prefect_port}"

    @property
    def mlflow_url(self) -> str:
        """MLflow's pages; writers go straight to its store."""
        return f"http://{self.host}:{self.mlflow_port}"

    @property
    def server_url(self) -> str:
        """The model server."""
        return f"{'https' if self.server_certificate else 'http'}://{self.host}:{self.server_port}"

    @property
    def reports_url(self) -> str:
        """Data Docs, drift reports and pictures: the home's `reports` folder, read-only."""
        return f"http://{self.host}:{self.reports_port}"

    @property
    def database_url(self) -> str:
        """SQLAlchemy URL of drift episodes."""
        return f"sqlite:///{self.home.database}"

    @property
    def tracking_uri(self) -> str:
        """MLflow's tracking and registry store."""
        return f"sqlite:///{self.home.mlflow_database}"

    def report_url(self, path: Path) -> str:
        """The URL under which a file of the home's `reports` folder is served."""
        return f"{self.reports_url}/{path.relative_to(self.home.reports).as_posix()}"

    def environment(self) -> dict[str, str]:
        """What every process of this installation has in its environment.

        One home and credential, no telemetry, no call to the outside.

        Only this user and root can read it, unlike a command line.
        """
        own = {f"GYRE_{name.upper()}": str(getattr(self, name)) for name in type(self).model_fields}
        return own | {
            "PREFECT_HOME": str(self.home.prefect),
            "PREFECT_API_URL": f"{self.prefect_url}/api",
            "PREFECT_API_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{self.home.prefect_database}",
            "PREFECT_LOCAL_STORAGE_PATH": str(self.home.prefect_results),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_SERVER_API_HOST": self.host,
            "PREFECT_SERVER_API_PORT": str(self.prefect_port),
            "PREFECT_SERVER_API_AUTH_STRING": self.credential.pair,
            "PREFECT_API_AUTH_STRING": self.credential.pair,
            "PREFECT_SERVER_API_CSRF_PROTECTION_ENABLED": "true",
            "PREFECT_CLIENT_CSRF_SUPPORT_ENABLED": "true",
            "PREFECT_SERVER_API_CORS_ALLOWED_ORIGINS": self.prefect_url,
            # Relative, so that the UI's pages ask the name that the browser knows, whichever it is.
            "PREFECT_SERVER_UI_API_URL": "/api",
            # While nothing happens: at Prefect's own pace of 5 s, and with a runner that asks each second, 4
            # % of a core were busy.
            "PREFECT_RUNNER_POLL_FREQUENCY": "2",
            "PREFECT_SERVER_SERVICES_LATE_RUNS_LOOP_SECONDS": "15",
            "PREFECT_SERVER_SERVICES_PAUSE_EXPIRATIONS_LOOP_SECONDS": "30",
            "PREFECT_SERVER_SERVICES_CLEANUP_RECONCILER_LOOP_SECONDS": "60",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "gyre",
            "MLFLOW_TRACKING_URI": self.tracking_uri,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            # Its server's job runners: eight processes and 855 MB for jobs that nobody submits.
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "GX_ANALYTICS_ENABLED": "false",
            "DVC_NO_ANALYTICS": "true",
            "DO_NOT_TRACK": "1",
        }
