-- Refuses what the owners of a version have not saved by now. By the key.
UPDATE {prefix}projection_worker SET epoch = epoch + 1, node = '' WHERE name = $1 AND version = $2;
