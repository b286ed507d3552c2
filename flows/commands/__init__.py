"""The verbs of the `gyre` command, a module for what they are about; flows/cli.py puts them together.

Each is a few lines over what a flow, a stage or a service does. What all share is in flows/terminal.py.
"""
