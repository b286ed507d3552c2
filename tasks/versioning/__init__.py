"""Versions of a data set: commits of a DVC repo that anybody with git and dvc can read."""
