import asyncio
import urllib.error
import urllib.request

import pytest

from configs.project import Cluster
from infra.cluster import open_cluster


def test_nobody_else_commands_a_local_cluster_or_sees_its_pages():
    from distributed import Client, Security

    async def join(address, **options):
        async with Client(address, asynchronous=True, timeout=20, set_as_default=False, **options):
            pass

    with open_cluster(Cluster(workers=1)) as client:
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
