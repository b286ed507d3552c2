"""Async requests: a client leaves its rows and comes back for the answers, or is called once they are there.

`store.py` keeps jobs in SQLite below the home, so that they outlive the server, and all of its processes see
the same ones; `jobs.py` answers them; `webhooks.py` signs the calls to who wants to be told, and
`outbound.py` says what may be called. Open `jobs.py` first; `rest/jobs.py` is what HTTP makes of it.
"""
