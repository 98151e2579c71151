-- The workers of a version, by the key and in its order.
SELECT low, high, checkpoint, sub, sub_of, epoch, state, node, cause, moved_at
FROM {prefix}projection_worker WHERE name = $1 AND version = $2 ORDER BY low;
