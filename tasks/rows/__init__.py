"""Rows, wherever they are: Parquet parts on disk, raw rows in memory, values that a client sends.

raw.py defines raw rows, the form that models take; parts.py reads and writes a data set's Parquet parts;
versions.py reads what the data repo knows of data set versions; files.py and values.py turn a person's rows
into raw ones.
"""
