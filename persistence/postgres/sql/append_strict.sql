-- As append_checked, but a refusal is an error, which aborts the transaction.
SELECT outcome, last, first_position, reused, early FROM {schema}.append_checked(CASE WHEN {proof} THEN $1::smallint END, $2, true, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
