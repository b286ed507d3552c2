"""Horovod: how its wheel is built, and how its ranks run on a Dask cluster."""
