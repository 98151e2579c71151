-- Removes all workers of a version, by the key.
DELETE FROM {prefix}projection_worker WHERE name = $1 AND version = $2;
