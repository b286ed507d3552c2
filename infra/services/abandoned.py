"""Flow runs that ended with the services, or with the machine: nobody was left to tell Prefect, where they would run for ever."""

import json
from datetime import datetime

from infra.services.answers import ask

MESSAGE = "Gyre's services were stopped, or killed, while this ran. Run it again: its finished stages are reused."


def close_abandoned(prefect_url: str, before: datetime) -> None:
    """Marks every flow run as crashed that counts as running since a time when the services had not started yet."""
    unfinished = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    for run in json.loads(ask(f"{prefect_url}/api/flow_runs/filter", unfinished) or "[]"):
        if datetime.fromisoformat(run["state"]["timestamp"]) < before:
            ask(f"{prefect_url}/api/flow_runs/{run['id']}/set_state", {"state": {"type": "CRASHED", "message": MESSAGE}})
