"""SQL files: derived tables and reports that people define in VIEWS_DIR.

    definition.py   what a definition is, as frozen data
    header.py       split a file into headers and statements
    keys.py         parse the values of the header's keys
    parse_tree.py   tables, functions and parameters of a statement, by DuckDB's parser
    catalogue.py    load a folder: definitions, errors, build order
    session.py      DuckDB connections with fixed settings and a fixed clock
    result_types.py how the columns of a result are stored

DuckDB is imported by the functions that need it: importing this package is cheap.
"""
