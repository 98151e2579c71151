-- Leaves a part without an owner, if it still is the caller's. By the key.
UPDATE {prefix}projection_worker SET node = '' WHERE name = $1 AND version = $2 AND low = $3 AND epoch = $4;
