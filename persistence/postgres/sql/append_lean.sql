-- Stores a batch whose expectations are proved; see the function in the migrations.
-- Served by event_position (the head, a proof) and event_version (the other proofs).
SELECT base, refused, early FROM {schema}.append_lean(CASE WHEN {proof} THEN $1::smallint END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19)
