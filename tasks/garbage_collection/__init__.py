"""What nothing needs any more, and how it is removed: `gyre data gc`.

partitions.py: what ingestion read; outcomes.py: results of stages and quarantines; versions.py: data set
versions, in the cache, the remote and the folders that they are laid out in.
"""
