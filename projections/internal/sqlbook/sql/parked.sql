-- What is set aside of a version behind a place, by the key and in its order.
SELECT part, position, stream, sub, lane, cause, attempts, retry, parked_at, event_id
FROM {prefix}projection_parked
WHERE name = $1 AND version = $2 AND (part > $3 OR part = $3 AND position > $4)
ORDER BY part, position LIMIT $5;
