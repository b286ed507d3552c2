"""When flows run by themselves: the schedule section of a project's YAML."""

from typing import Annotated

from pydantic import Field

from configs.section import Section


class ScheduleConfig(Section):
    """When flows run by themselves."""

    nightly: str | None = "0 3 * * *"
    """Cron line (UTC) of the whole cycle; null: it runs when someone starts it, or on drift."""
    drift_seconds: Annotated[float, Field(ge=5)] | None = 3600
    """Interval of the drift flow; null: it runs when someone starts it."""
