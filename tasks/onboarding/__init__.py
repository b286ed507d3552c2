"""A project's first minutes.

`gyre init` drafts its YAML from data alone, `gyre check` looks ahead before a run.

draft.py writes the YAML, with a comment for each choice that a person may know better; column_roles.py
decides what each column is for, image_sections.py writes what images need; preflight.py finds in the first
rows what would stop a run.
"""
