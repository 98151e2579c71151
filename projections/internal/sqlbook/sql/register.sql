-- Adds or replaces a version, by the key.
INSERT INTO {prefix}projection (name, version, stopped, active, effects, ready, fingerprint, until, switching, successor, changes, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (name, version) DO UPDATE SET stopped = excluded.stopped, active = excluded.active, effects = excluded.effects,
  ready = excluded.ready, fingerprint = excluded.fingerprint, until = excluded.until, switching = excluded.switching,
  successor = excluded.successor, changes = excluded.changes;
