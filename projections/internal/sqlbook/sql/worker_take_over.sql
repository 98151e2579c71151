-- Makes a node the owner. It waits for a save that is under way, and whoever saves
-- behind it finds another epoch. By the key.
UPDATE {prefix}projection_worker SET epoch = epoch + 1, node = $4, cause = ''
WHERE name = $1 AND version = $2 AND low = $3
RETURNING low, high, checkpoint, sub, sub_of, epoch, state, node, cause, moved_at;
