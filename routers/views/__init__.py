"""Views: derived tables and reports of the SQL files, over HTTP.

loaded.py      the definitions with their columns, loaded by a job of the worker
source.py      the current definitions; loads them again when a file changes
parameters.py  query parameters of a definition: typed, bounded, with defaults
page.py        filters, order and keyset pages, as lazy plans
respond.py     a response with the rows of a derived table or a report
answers.py     a table answer of a derived table or report
catalogue.py   the answer of GET /views
kept.py        tables whose definition has an error, as their last build left them
documents.py   what a definition adds to the OpenAPI document
"""
