-- Adds a worker.
INSERT INTO {prefix}projection_worker (name, version, low, high, checkpoint, sub, sub_of, epoch, state, node, cause, moved_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, '', $10, $11);
