-- As append_checked, but a refusal is an error, which ends the transaction.
SELECT outcome, last, first_position, reused FROM {schema}.append_checked($1, false, true, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
