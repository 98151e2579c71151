-- Whether writers release the order lock early. Served by partition_key.
SELECT k.early FROM {schema}.partition k WHERE k.part = 0
