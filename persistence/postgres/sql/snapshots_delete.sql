-- Deletes the snapshots of a category from before a time, one by one, with a row for
-- each. A snapshot that is replaced meanwhile is deleted too. Served by stream_category
-- and snapshot_key.
SELECT {schema}.delete_snapshot(st.name)::text FROM {schema}.stream st JOIN {schema}.snapshot sn ON sn.stream_id = st.stream_id
WHERE st.category = $1 AND ($2::timestamptz IS NULL OR sn.created_at < $2)
