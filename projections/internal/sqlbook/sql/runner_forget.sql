-- Removes a runner that has not said anything since, by the key.
DELETE FROM {prefix}projection_runner WHERE node = $1 AND beat = $2;
