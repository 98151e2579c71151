-- Forgets what a version has set aside, by the key.
DELETE FROM {prefix}projection_parked WHERE name = $1 AND version = $2;
