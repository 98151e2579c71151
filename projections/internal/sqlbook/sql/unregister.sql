-- Removes a version, by the key.
DELETE FROM {prefix}projection WHERE name = $1 AND version = $2;
