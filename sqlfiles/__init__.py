"""SQL files: derived tables and reports that people define in VIEWS_DIR.

    definition.py   what a definition is, as frozen data
    files.py        find the files of a folder, and read their text
    header.py       split a file into headers and statements
    keys.py         parse the values of the header's keys
    tree.py         the parse tree of a SELECT, by DuckDB's parser, and a walk over it
    parse_tree.py   what the statement of a definition uses, and may not use
    query_gate.py   what the statement of a person may use, see docs/sql-queries.md
    functions.py    the functions that it may call
    reader.py       read the definitions of one file
    linker.py       relate the definitions of all files: inputs, cycles, build order
    catalogue.py    load a folder by all of these
    session.py      DuckDB connections with fixed settings and a fixed clock
    result_types.py how the columns of a result are stored

DuckDB is imported by the functions that need it: importing this package is cheap.
"""
