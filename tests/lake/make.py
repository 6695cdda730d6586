"""Writes the model `customers` of the whole-program tests as Parquet, before and after some changes.

Made with pyarrow 26, in this folder:

    python make.py
"""

import pyarrow as pa
import pyarrow.parquet as pq


def customer(n):
    """The row that `support/customers.rs` makes."""
    name = [f"Zoë Ångström {n}", f"O'Neil \"{n}\"", f'{{"id": {n}}}', f"line\nbreak\t{n}", f"客户 {n}"][n % 5]
    return {"id": n, "email": f"c{n}@example.com" if n % 7 else None, "name": name, "plan": "free"}


def write(rows, path):
    schema = pa.schema([(name, pa.string()) for name in ("name", "plan", "email")] + [("id", pa.int32())])
    pq.write_table(pa.Table.from_pylist(rows, schema), path, row_group_size=100)


rows = [customer(n) for n in range(1, 301)]
write(rows, "before.parquet")

rows[6]["plan"] = "pro"
del rows[4]
write(rows + [customer(301)], "after.parquet")
