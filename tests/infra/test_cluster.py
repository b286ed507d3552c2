import asyncio
import urllib.error
import urllib.request

import pytest

from configs.cluster import ClusterConfig
from infra import cluster
from infra.cluster import open_cluster


def test_nobody_else_commands_a_local_cluster_or_sees_its_pages():
    from distributed import Client, Security

    async def join(address, **options):
        async with Client(address, asynchronous=True, timeout=20, set_as_default=False, **options):
            pass

    with open_cluster(ClusterConfig(workers=1)) as client:
        assert client.submit(sum, [1, 2]).result(timeout=60) == 3
        address = client.scheduler.address
        assert address.startswith("tls://127.0.0.1:")
        with pytest.raises(OSError, match=r"Connection reset|Stream is closed|Timed out"):
            asyncio.run(join(address.replace("tls://", "tcp://")))
        with pytest.raises(OSError, match=r"certificate|CERTIFICATE|Timed out"):
            asyncio.run(join(address, security=Security.temporary()))
        port = client.scheduler_info()["services"]["dashboard"]
        for path in ("/", "/status", "/info/main/workers.html", "/api/v1/retire_workers"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=30)


def test_workers_that_do_not_come_are_counted_and_the_cluster_is_named(monkeypatch):
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, processes=False, dashboard_address="127.0.0.1:0") as running:
        monkeypatch.setattr(cluster, "WORKERS_TIMEOUT_S", 3)
        wanted = ClusterConfig(kind="address", address=running.scheduler_address, workers=2)
        with (
            pytest.raises(TimeoutError, match=r"1 of 2 Dask workers came within 3 s .*cluster.workers=1"),
            open_cluster(wanted),
        ):
            pass
