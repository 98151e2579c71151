-- Sets an event aside, or replaces what is known of one that is, by the key.
INSERT INTO {prefix}projection_parked (name, version, part, position, stream, sub, lane, cause, attempts, retry, parked_at, event_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (name, version, part, position) DO UPDATE SET sub = excluded.sub, cause = excluded.cause,
  attempts = excluded.attempts, retry = excluded.retry, event_id = excluded.event_id, stream = excluded.stream,
  lane = excluded.lane;
