"""Batch scoring: a released model's answers to all rows of a source, in a Parquet folder, a CSV file or a table of a database.

In: a bundle, a source and a target. Out: the target, a side file of the rows that could not be read, and a
ScoreReport. The source is cut into partitions, as ingestion cuts it; each is scored once, by a Dask worker,
into a folder under the home, so a run that was killed goes on where it stood. Open run.py first; source.py
says how rows are read, row_inputs.py what the graph is given, partition.py scores, targets.py and database.py
write.
"""
