"""Training: a network's weights from a data set version, on Horovod ranks over the Dask cluster, with its curves in MLflow."""
