-- Forgets the snapshots of a category from before a time, one by one, and has a
-- row for each. One that is replaced meanwhile goes too. Served by stream_category
-- and snapshot_key.
SELECT {schema}.delete_snapshot(st.name)::text FROM {schema}.stream st JOIN {schema}.snapshot sn ON sn.stream_id = st.stream_id
WHERE st.category = $1 AND ($2::timestamptz IS NULL OR sn.created_at < $2)
