"""People's queries: one SELECT, run in a confined process of its own.

    request.py     the body of a request: statement, parameters, limits
    running.py     the API's side: one at a time, errors, the answer
    execution.py   in the process of a query: gate, session, rows, encoding
    exchange.py    what these two exchange
    confinement.py the limits that this process sets itself
    messages.py    what people are told: sentences without paths

See docs/sql-queries.md and docs/decisions/sql-queries.md.
"""
