"""Raw rows: from the source that a project's YAML names, and from production once its truth is known."""
