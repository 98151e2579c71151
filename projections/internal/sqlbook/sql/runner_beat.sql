-- Says that a runner is alive, by the key.
INSERT INTO {prefix}projection_runner (node, beat) VALUES ($1, $2)
ON CONFLICT (node) DO UPDATE SET beat = excluded.beat;
