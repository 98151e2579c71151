-- Stores a batch; see the function in the migrations. Served by event_version
-- (conflicts, predecessors) and event_position (the head).
SELECT base, inserted, refused FROM {schema}.append(CASE WHEN {proof} THEN $1::smallint END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
