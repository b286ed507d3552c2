"""What monitoring tells the world; triggers import these names."""

DRIFT_DETECTED = "gyre.drift.detected"
"""A drift episode wants a retraining. Payload: project, episode, version (champion that drifted), share, report (its HTML page)."""


def resource(project: str) -> str:
    """Id of the Prefect resource that a project's events are about."""
    return f"gyre.model.{project}"
