"""Spark with Delta MERGE on 2 cores: one merge closes and appends. Late changes are dropped; it is told which changes open a version."""

import os
import pathlib
import sys

from delta_files import delta_relation
from pyspark.sql import SparkSession
from scd_common import COLUMNS, OPEN, TYPE_1, run

folder, work = sys.argv[1:3]
ivy = os.environ["WEIR_BENCH_IVY"]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.jars.packages", "io.delta:delta-spark_2.13:4.0.1")
    .config("spark.jars.ivy", ivy)
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog")
    .config("spark.databricks.delta.properties.defaults.enableDeletionVectors", "false")
    .config("spark.driver.memory", "4g")
    .config("spark.sql.shuffle.partitions", "4")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.ui.enabled", "false")
    .config("spark.local.dir", work)
    .getOrCreate()
)
spark.sparkContext.setLogLevel("ERROR")
jvm = spark.sparkContext._gateway.jvm.java.lang.ProcessHandle.current().pid()
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


run(folder, load, batch, lambda: delta_relation(table), pids=[os.getpid(), jvm])
spark.stop()
