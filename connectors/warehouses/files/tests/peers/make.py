"""Writes the same three rows with three writers of Parquet. Made with pyarrow 26, duckdb 2.0 and polars 2.1, in this folder:

    python make.py
"""

import datetime as dt
from decimal import Decimal

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

utc = dt.timezone.utc
schema = pa.schema([
    ("id", pa.int64()),
    ("email", pa.string()),
    ("note", pa.string()),
    ("price", pa.decimal128(12, 2)),
    ("at", pa.timestamp("us", "UTC")),
    ("day", pa.date32()),
    ("active", pa.bool_()),
    ("score", pa.float64()),
    ("tags", pa.list_(pa.string())),
    ("address", pa.struct([("city", pa.string()), ("zip", pa.string())])),
])
rows = [
    (1, "ann@example.com", "", Decimal("12.50"), dt.datetime(2026, 1, 2, 3, 4, 5, 678901, utc), dt.date(2026, 1, 2),
     True, 0.1, ["a", "b"], {"city": "Köln", "zip": "50667"}),
    (2, "ben@example.com", None, Decimal("-0.01"), dt.datetime(1969, 12, 31, 23, 59, 59, 999999, utc),
     dt.date(1969, 12, 31), False, -2.5, [], {"city": None, "zip": ""}),
    (3, None, None, None, None, None, None, None, None, None),
]
people = pa.Table.from_pylist([dict(zip(schema.names, row)) for row in rows], schema=schema)

pq.write_table(people, "pyarrow.parquet")
duckdb.sql("copy (select * from people) to 'duckdb.parquet'")
pl.from_arrow(people).write_parquet("polars.parquet")
