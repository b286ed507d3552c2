"""The model server, a process of its own: `python -m tasks.serving`.

It starts fast and stays small: no torch, pandas or Prefect.
"""
