"""Partitions of a source: what is read in one go by one Dask worker, and kept so that it is read only once.

sources.py lists a source's partitions, store.py reads and keeps one, watermarks.py finds what is new,
deduplication.py leaves out repeated keys, join.py adds the columns of other sources.
"""
