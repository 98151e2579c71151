-- Makes a node the owner. It waits for a save that is under way, and whoever saves
-- behind it finds another epoch, which also lies above those that a store has lost
-- that was restored from a backup. By the key.
UPDATE {prefix}projection_worker SET epoch = CASE WHEN epoch < $5 THEN $5 ELSE epoch + 1 END, node = $4, cause = ''
WHERE name = $1 AND version = $2 AND low = $3
RETURNING low, high, checkpoint, sub, sub_of, epoch, state, node, cause, moved_at;
