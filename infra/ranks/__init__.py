"""Runs a function on N ranks over a Dask cluster: no mpirun, no ssh. Horovod, DDP, FSDP or a single process.

run.py is the driver; elastic.py decides when ranks start, end and start again; supervision.py is the worker's
side of a rank, forkserver.py and rank_process.py its process; strategies.py and joining.py connect the ranks.
"""
