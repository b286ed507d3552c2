"""When: one short file a flow, deployments with their schedules and triggers, and the `gyre` command."""
