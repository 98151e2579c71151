-- Removes one event from what is set aside, by the key.
DELETE FROM {prefix}projection_parked WHERE name = $1 AND version = $2 AND part = $3 AND position = $4;
