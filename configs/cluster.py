"""The Dask cluster that partitions and ranks run on: the cluster section of a project's YAML."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from configs.section import Section, import_path_or


class ClusterConfig(Section):
    """The Dask cluster that partitions and ranks run on."""

    kind: Annotated[str, import_path_or("local", "address")] = "local"
    """`local`, `address` of a running scheduler, or any Dask cluster class such as `dask_jobqueue:SLURMCluster`."""
    address: str | None = None
    """For `address`: such as tcp://10.0.0.1:8786."""
    workers: int = Field(default=2, ge=1)
    """Workers to start or scale to."""
    options: dict[str, Any] = {}
    """Keyword arguments of the cluster class."""

    @model_validator(mode="after")
    def address_is_given(self) -> "ClusterConfig":
        """An address is needed by `address` alone."""
        if (self.kind == "address") != (self.address is not None):
            raise ValueError(
                "`address` goes with kind: address, and only with it; such as tcp://10.0.0.1:8786"
            )
        return self
