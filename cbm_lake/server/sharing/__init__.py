"""Delta Sharing (https://github.com/delta-io/delta-sharing): tables of the lake for Power BI, Excel, pandas and Spark.

A share is an area, a schema one of its years, a table a view of the lake. Each version of a table is written once, as
Parquet files with exactly the rows that SQL gives; whoever may read the area gets links to them that end.
"""
