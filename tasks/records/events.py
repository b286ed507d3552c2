"""What Gyre tells the world: Prefect events, for triggers and for whoever listens."""

from infra.credentials import Credential

DRIFT_DETECTED = "gyre.drift.detected"
"""A drift episode wants a retraining. Payload: project, episode, version (champion that drifted), share,
report (its HTML page)."""
DATA_REJECTED = "gyre.data.rejected"
"""Rows did not pass validation and the run stopped. Payload: project, rows, quarantined, reasons, report
(Data Docs' page)."""
RELEASE_PROMOTED = "gyre.release.promoted"
"""A version serves. Payload: the Release record."""
RELEASE_ROLLED_BACK = "gyre.release.rolled-back"
"""A challenger failed its trial, or was refused before it. Payload: the Release record."""
RELEASE_DAMAGED = "gyre.release.damaged"
"""A released version's files are damaged, so that it does not serve. Payload: project, damage (a sentence:
which, what answers, why)."""
SIGNATURE = "gyre.signature"
"""Label of an event's resource."""


def resource(project: str) -> str:
    """Id of the Prefect resource that a project's events are about."""
    return f"gyre.model.{project}"


def labels(project: str, credential: Credential) -> dict[str, str]:
    """The resource that a project's events are about, with a signature that only this installation can give.

    Triggers match it whole, so an event that somebody else made up starts nothing.
    """
    return {
        "prefect.resource.id": resource(project),
        SIGNATURE: credential.signature("event", resource(project)),
    }
