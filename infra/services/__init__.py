"""The services of one installation.

Started together, kept alive by supervisord, stopped without a process left behind.
"""

from infra.services.errors import ServicesError
from infra.services.lifecycle import ServiceStatus, down, follow, status, up

__all__ = ["ServiceStatus", "ServicesError", "down", "follow", "status", "up"]
