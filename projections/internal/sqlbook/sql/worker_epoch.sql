-- The highest epoch of a version, for those that come after it.
SELECT coalesce(max(epoch), 0) FROM {prefix}projection_worker WHERE name = $1 AND version = $2;
