-- Streams as wholes: their life, metadata, snapshots, and the schemas of payloads.

-- +goose Up
-- +goose StatementBegin
ALTER TABLE {schema}.stream ADD COLUMN begins bigint NOT NULL DEFAULT 1;
COMMENT ON COLUMN {schema}.stream.begins IS 'the version behind the last tombstone';

-- append_checked is what it was, but that to expect no stream is to expect no
-- event that can be read, so a stream that was deleted and created again is none;
-- and that a strict refusal tells the id in its hint.
CREATE OR REPLACE FUNCTION {schema}.append_checked(p_part smallint, p_own boolean, p_strict boolean, p_stream bigint, k bigint, named boolean,
                                        i uuid[], c int[], t text[], p bytea[], h bytea[], m text[], g text[],
                                        OUT outcome text, OUT last bigint, OUT first_position bigint, OUT reused uuid, OUT early boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE n int := cardinality(i); head bigint; low bigint; alive boolean; found int; v0 bigint; same boolean; r record;
BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0),
         st.created OR coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1) >= st.first, false), st.first
    INTO STRICT head, alive, low FROM {schema}.stream st WHERE st.stream_id = p_stream;
  last := head;
  early := false;
  IF named THEN
    SELECT count(*), min(ek.version), bool_and(ek.version = e.version AND e.type = u.t AND e.payload = u.p AND e.schema_id = u.c AND e.metadata::text IS NOT DISTINCT FROM u.m
                    AND e.tags IS NOT DISTINCT FROM string_to_array(u.g, E'\n'))
           AND max(ek.version - u.o) = min(ek.version - u.o)
      INTO found, v0, same
      FROM unnest(i, c, t, p, m, g) WITH ORDINALITY u(i, c, t, p, m, g, o)
      JOIN {schema}.event_key ek ON ek.stream_id = p_stream AND ek.event_id = u.i
      JOIN {schema}.event e ON e.stream_id = p_stream AND e.version = ek.version;
    IF found = n AND same THEN
      outcome := 'duplicate';
      last := v0 + n - 1;
      SELECT e.position INTO first_position FROM {schema}.event e WHERE e.stream_id = p_stream AND e.version = v0;
      SELECT k.early INTO STRICT early FROM {schema}.partition k WHERE k.part = p_part; -- whose writer may not have flushed it
      RETURN;
    ELSIF found > 0 THEN
      outcome := 'id_reused';
      SELECT ek.event_id INTO reused FROM {schema}.event_key ek WHERE ek.stream_id = p_stream AND ek.event_id = ANY (i) LIMIT 1;
    END IF;
  END IF;
  IF outcome IS NULL THEN
    outcome := CASE WHEN k = -1 THEN 'ok'
                    WHEN k = -2 THEN CASE WHEN alive THEN 'ok' ELSE 'conflict' END
                    WHEN k = 0 THEN CASE WHEN head < low THEN 'ok' ELSE 'conflict' END
                    ELSE CASE WHEN head = k THEN 'ok' ELSE 'conflict' END END;
  END IF;
  IF outcome <> 'ok' THEN
    IF p_strict THEN RAISE EXCEPTION 'stele: %', outcome USING ERRCODE = 'ST001', DETAIL = head::text, HINT = coalesce(reused::text, ''); END IF;
    RETURN;
  END IF;
  SELECT a.base, a.inserted, a.refused, a.early INTO r
  FROM {schema}.append(p_part, p_own, array_fill(p_stream, ARRAY[n]), array_fill(head, ARRAY[n]),
         ARRAY(SELECT head + o FROM generate_series(1, n) o), i, c, t, p, h, m, g) a;
  IF r.inserted <> n THEN RAISE EXCEPTION 'stele: inserted % of %', r.inserted, n USING ERRCODE = 'ST002'; END IF;
  IF named THEN
    INSERT INTO {schema}.event_key (stream_id, event_id, version) SELECT p_stream, u.i, head + u.o FROM unnest(i) WITH ORDINALITY u(i, o);
  END IF;
  last := head + n;
  first_position := r.base + 1;
  early := r.early;
END {body};

-- create_stream makes a stream exist that nobody has written to, unless it exists.
CREATE FUNCTION {schema}.create_stream(p_stream bigint, m text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body} BEGIN
  UPDATE {schema}.stream st SET created = true, metadata = m::jsonb, revision = st.revision + CASE WHEN m IS NULL THEN 0 ELSE 1 END
  WHERE st.stream_id = p_stream AND NOT st.created
    AND coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < st.first;
  RETURN FOUND;
END {body};

-- set_metadata replaces the metadata of a stream at a revision, -1 any. The
-- outcome is ok, not_found or conflict; revision is the one that stands then. What
-- is set already stays, whatever is expected. It compares as text, because to
-- jsonb 1 and 1.0 are equal.
CREATE FUNCTION {schema}.set_metadata(p_stream bigint, m text, expected bigint, OUT outcome text, OUT revision bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE same boolean; low bigint; made boolean;
BEGIN
  SELECT st.revision, st.metadata::text IS NOT DISTINCT FROM m::jsonb::text, st.first, st.created
    INTO set_metadata.revision, same, low, made FROM {schema}.stream st WHERE st.stream_id = p_stream FOR NO KEY UPDATE;
  IF made IS NULL OR NOT made AND coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < low THEN
    outcome := 'not_found';
  ELSIF same THEN
    outcome := 'ok';
  ELSIF expected <> -1 AND expected <> set_metadata.revision THEN
    outcome := 'conflict';
  ELSE
    outcome := 'ok';
    UPDATE {schema}.stream st SET metadata = m::jsonb, revision = st.revision + 1 WHERE st.stream_id = p_stream RETURNING st.revision INTO set_metadata.revision;
  END IF;
END {body};

-- delete_stream ends a stream by a tombstone with the id i under the expectation
-- k, see append_checked. The outcome is ok, conflict or not_found. The snapshot
-- goes after the row of the stream is locked, which who saves one waits for.
CREATE FUNCTION {schema}.delete_stream(p_part smallint, p_stream bigint, k bigint, i uuid,
                                       OUT outcome text, OUT last bigint, OUT first_position bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE alive boolean;
BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT st.created OR coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) >= st.first
    INTO alive FROM {schema}.stream st WHERE st.stream_id = p_stream;
  IF alive IS NOT TRUE THEN
    outcome := 'not_found';
    RETURN;
  END IF;
  SELECT a.outcome, a.last, a.first_position INTO delete_stream.outcome, delete_stream.last, delete_stream.first_position
    FROM {schema}.append_checked(p_part, false, false, p_stream, k, false, ARRAY[i], ARRAY[0], ARRAY['$deleted'], ARRAY[''::bytea], ARRAY[''::bytea],
                                 ARRAY[NULL::text], ARRAY[NULL::text]) a;
  IF delete_stream.outcome <> 'ok' THEN
    RETURN;
  END IF;
  UPDATE {schema}.stream st SET first = delete_stream.last + 1, begins = delete_stream.last + 1, created = false, metadata = NULL, revision = st.revision + 1
  WHERE st.stream_id = p_stream;
  DELETE FROM {schema}.event_key ek WHERE ek.stream_id = p_stream;
  DELETE FROM {schema}.snapshot sn WHERE sn.stream_id = p_stream;
END {body};

-- truncate_stream raises the first version that can be read, at most to the last
-- one, and returns it; NULL when the stream does not exist.
CREATE FUNCTION {schema}.truncate_stream(p_stream bigint, p_before bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE low bigint;
BEGIN
  UPDATE {schema}.stream st SET first = greatest(st.first, least(p_before,
      coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0)))
  WHERE st.stream_id = p_stream
    AND (st.created OR coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) >= st.first)
  RETURNING st.first INTO low;
  RETURN low;
END {body};

-- scavenge makes husks of events of a stream that cannot be read any more, at most
-- p_limit from a version on, and returns how many it looked at and emptied, and
-- where to go on.
CREATE FUNCTION {schema}.scavenge(p_stream bigint, p_from bigint, p_limit int, OUT seen bigint, OUT husks bigint, OUT next bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE low bigint;
BEGIN
  SELECT st.first INTO low FROM {schema}.stream st WHERE st.stream_id = p_stream;
  SELECT count(*), coalesce(max(v.version) + 1, p_from) INTO seen, next
    FROM (SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < low ORDER BY e.version LIMIT p_limit) v;
  UPDATE {schema}.event e SET type = '$gone', payload = '', headers = '', metadata = NULL, tags = NULL, schema_id = 0
  WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < scavenge.next AND e.type NOT IN ('$gone', '$deleted');
  GET DIAGNOSTICS husks = ROW_COUNT;
  IF husks > 0 THEN
    DELETE FROM {schema}.event_key ek
    WHERE ek.stream_id = p_stream AND ek.event_id = ANY (ARRAY(SELECT e.event_id FROM {schema}.event e
      WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < scavenge.next)) AND ek.version < scavenge.next;
  END IF;
END {body};

-- save_snapshot keeps a snapshot of a stream that exists unless it is older than
-- the one that is there or than what was truncated. The lock makes it wait for a
-- deletion that is under way.
CREATE FUNCTION {schema}.save_snapshot(p_stream bigint, p_version bigint, p_event uuid, p_checksum int, p_fingerprint bytea, p_state bytea) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE low bigint; made boolean;
BEGIN
  SELECT st.first, st.created INTO low, made FROM {schema}.stream st WHERE st.stream_id = p_stream FOR SHARE;
  IF low IS NULL OR p_version < low - 1
     OR NOT made AND coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < low THEN
    RETURN false;
  END IF;
  INSERT INTO {schema}.snapshot AS sn (stream_id, version, event_id, schema_id, created_at, checksum, fingerprint, state)
  VALUES (p_stream, p_version, p_event, 0, clock_timestamp(), p_checksum, p_fingerprint, p_state)
  ON CONFLICT ON CONSTRAINT snapshot_key DO UPDATE SET version = excluded.version, event_id = excluded.event_id, created_at = excluded.created_at,
    checksum = excluded.checksum, fingerprint = excluded.fingerprint, state = excluded.state WHERE sn.version <= excluded.version;
  RETURN FOUND;
END {body};

-- delete_snapshot forgets the snapshot of one stream.
CREATE FUNCTION {schema}.delete_snapshot(p_name text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body} BEGIN
  DELETE FROM {schema}.snapshot sn USING {schema}.stream st WHERE st.name = p_name AND sn.stream_id = st.stream_id;
END {body};

-- delete_snapshots forgets those of all streams of a category.
CREATE FUNCTION {schema}.delete_snapshots(p_category text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body} BEGIN
  DELETE FROM {schema}.snapshot sn USING {schema}.stream st WHERE st.category = p_category AND sn.stream_id = st.stream_id;
END {body};

-- register_schema returns the id of a schema and stores it when it is missing. The
-- digest is of the encoding and the body.
CREATE FUNCTION {schema}.register_schema(p_digest bytea, p_encoding smallint, p_body bytea) RETURNS int
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE id int;
BEGIN
  SELECT c.schema_id INTO id FROM {schema}.schema c WHERE c.digest = p_digest;
  IF id IS NULL THEN
    INSERT INTO {schema}.schema (digest, encoding, body) VALUES (p_digest, p_encoding, p_body) ON CONFLICT ON CONSTRAINT schema_digest DO NOTHING;
    SELECT c.schema_id INTO id FROM {schema}.schema c WHERE c.digest = p_digest;
  END IF;
  RETURN id;
END {body};

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
-- +goose StatementEnd
