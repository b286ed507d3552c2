"""What: one YAML a project, and the typed schema that reads it."""
