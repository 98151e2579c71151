-- How many rows a table has. Served by the primary key alone.
SELECT count(*) FROM {table}
