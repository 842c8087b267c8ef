"""Spark with Delta MERGE on 2 cores: one merge closes and appends. Late changes are dropped; it is told which changes open a version."""

import pathlib
import sys

from delta_files import delta_relation
from scd_common import COLUMNS, OPEN, TYPE_1, run
from spark_session import session

folder, work = sys.argv[1:3]
settings = {
    "spark.databricks.delta.properties.defaults.enableDeletionVectors": "false", "spark.sql.shuffle.partitions": "4",
}
spark, pids = session(work, settings)
table = str(pathlib.Path(work, "dim"))
names = ", ".join(COLUMNS)


def load():
    spark.sql(f"""create table delta.`{table}` using delta as
        select {names}, changed_at as effective_from, timestamp '{OPEN}' as effective_to, true as is_current
        from parquet.`{folder}/changes/base.parquet`""")


def batch(file):
    spark.sql(f"create or replace temp view changes as select * from parquet.`{file}` where not late")
    type_1 = ", ".join(f"t.{name} = s.{name}" for name in TYPE_1)
    values = ", ".join(f"s.{name}" for name in COLUMNS)
    spark.sql(f"""
        merge into delta.`{table}` t
        using (select customer_id as merge_key, * from changes where not is_new
               union all select null, * from changes where opens) s
        on t.customer_id = s.merge_key
        when matched and t.is_current and s.opens then
            update set {type_1}, t.effective_to = s.changed_at, t.is_current = false
        when matched then update set {type_1}
        when not matched then insert ({names}, effective_from, effective_to, is_current)
            values ({values}, s.changed_at, timestamp '{OPEN}', true)""")


run(folder, load, batch, lambda: delta_relation(table), pids=pids)
spark.stop()
