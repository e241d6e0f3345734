"""Formats: every answer that is a table as JSON, CSV, NDJSON, XLSX or Parquet.

    table.py      a table answer: rows, the meaning of each column, where they come from
    media.py      the formats, their media types, and the choice by Accept
    values.py     what a value looks like as text, one rule for all text formats
    text.py       JSON, NDJSON and CSV, in bounded memory
    parquet.py    Parquet with the definitions in its metadata
    xlsx.py       a workbook from such a Parquet file
    answer.py     a response: ETag, file name, temporary file

See docs/formats.md.
"""
