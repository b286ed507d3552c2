"""Rows, wherever they are: Parquet parts on disk, raw rows in memory.

raw.py defines raw rows, the form that models take; images.py makes them of images; parts.py reads and writes
a data set's Parquet parts; versions.py reads what the data repo knows of data set versions; sql.py opens
DuckDB; timestamps.py reads times by their format.
"""
