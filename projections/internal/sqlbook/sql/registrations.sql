-- The versions of one projection, or of all. They are few; the key has their order.
SELECT name, version, stopped, active, effects, ready, fingerprint, until, switching, successor, changes, created_at
FROM {prefix}projection WHERE name = $1 OR CAST($1 AS text) = '' ORDER BY name, version;
