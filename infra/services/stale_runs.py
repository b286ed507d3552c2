"""Flow runs that ended with the services, or with the machine.

Nobody was left to tell Prefect, where they would run for ever.
"""

import json
from datetime import datetime

from infra.services.http import insist, may_change
from infra.settings import Settings

MESSAGE = (
    "Gyre's services were stopped, or killed, while this ran. Run it again: its finished stages are reused."
)

ANSWER_S = 60.0
"""How long Prefect may take over an answer: it has just started, perhaps on a busy machine."""


def close_abandoned(settings: Settings, before: datetime) -> None:
    """Marks every flow run as crashed that counts as running since a time when the services had not started yet.

    Raises ServicesError where Prefect, which has just said that it is ready, does not answer.
    """
    api, headers = f"{settings.prefect_url}/api", may_change(settings, ANSWER_S)
    unfinished = {"flow_runs": {"state": {"type": {"any_": ["RUNNING", "PENDING", "CANCELLING"]}}}}
    for run in json.loads(insist(f"{api}/flow_runs/filter", unfinished, within_s=ANSWER_S, headers=headers)):
        if datetime.fromisoformat(run["state"]["timestamp"]) < before:
            crashed = {"state": {"type": "CRASHED", "message": MESSAGE}}
            insist(f"{api}/flow_runs/{run['id']}/set_state", crashed, within_s=ANSWER_S, headers=headers)
