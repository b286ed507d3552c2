"""Where: settings and stores, Dask clusters, services, and Horovod's build."""
