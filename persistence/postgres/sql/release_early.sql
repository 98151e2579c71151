-- Makes writers release the order lock early, or late; see the function in the
-- migrations. Served by partition_key.
SELECT {schema}.release_early($1, $2)
