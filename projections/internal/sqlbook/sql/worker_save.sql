-- Moves a checkpoint, if it is where the caller left it and nobody has taken over.
-- No row means that he must roll back. By the key.
UPDATE {prefix}projection_worker SET checkpoint = $6, sub = $7, sub_of = $8, state = $9, cause = $10, moved_at = $11
WHERE name = $1 AND version = $2 AND low = $3 AND epoch = $4 AND checkpoint = $5;
