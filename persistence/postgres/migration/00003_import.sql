-- Events and streams of another journal are stored as they are.

-- +goose Up
-- +goose StatementBegin

-- import_events stores events with their versions, ids and times. The arrays are
-- per event as in append, with the first version that the call has of its stream
-- as f, the time as a, and as k whether the id is recognised when it is repeated.
-- The versions that a call has of a stream follow each other. What is there
-- already is passed over. It returns the position of the last event. One that does
-- not fit raises ST001: conflict with the version of its stream as detail, or
-- id_reused when the stream has its key elsewhere; the hint is its ordinal.
CREATE FUNCTION {schema}.import_events(p_part smallint, s bigint[], f bigint[], v bigint[], a timestamptz[], k boolean[],
                                       i uuid[], c int[], t text[], p bytea[], h bytea[], m text[], g text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE base bigint; x bigint[]; known bigint; wanted bigint; bad bigint; last bigint; r record;
BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT greatest((SELECT e.position FROM {schema}.event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), q.floor)
    INTO STRICT base FROM {schema}.partition q WHERE q.part = p_part;
  -- The version of each event's stream, as the call finds it.
  SELECT array_agg(coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s ORDER BY e.version DESC LIMIT 1), 0) ORDER BY u.o)
    INTO x FROM unnest(s) WITH ORDINALITY u(s, o);
  SELECT u.o, u.x INTO bad, last
    FROM unnest(s, f, v, x, i, c, t, p, m, g) WITH ORDINALITY u(s, f, v, x, i, c, t, p, m, g, o)
   WHERE u.f > u.x + 1
      OR u.v <= u.x AND (SELECT e.event_id = u.i AND (e.type = '$gone' OR u.t = '$gone' OR e.type = u.t AND e.payload = u.p AND e.schema_id = u.c
           AND e.metadata::text IS NOT DISTINCT FROM u.m AND e.tags IS NOT DISTINCT FROM string_to_array(u.g, E'\n'))
         FROM {schema}.event e WHERE e.stream_id = u.s AND e.version = u.v) IS NOT TRUE
   ORDER BY u.o LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'stele: conflict' USING ERRCODE = 'ST001', DETAIL = last::text, HINT = bad::text;
  END IF;
  INSERT INTO {schema}.event (part, position, stream_id, version, created_at, event_id, schema_id, type, payload, headers, metadata, tags)
  SELECT p_part, base + row_number() OVER (ORDER BY u.o), u.s, u.v, u.a, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
  FROM unnest(s, v, x, a, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, x, a, i, c, t, p, h, m, g, o) WHERE u.v > u.x;
  FOR r IN SELECT u.s AS stream, max(u.v) AS version, count(*) AS times FROM unnest(s, v, x, t) u(s, v, x, t)
           WHERE u.t = '$deleted' AND u.v > u.x GROUP BY u.s ORDER BY u.s LOOP
    UPDATE {schema}.stream st SET first = r.version + 1, begins = r.version + 1, created = false, metadata = NULL, revision = st.revision + r.times
    WHERE st.stream_id = r.stream;
    DELETE FROM {schema}.event_key ek WHERE ek.stream_id = r.stream;
    DELETE FROM {schema}.snapshot sn WHERE sn.stream_id = r.stream;
  END LOOP;
  -- Ids of a life that has ended in this call are forgotten.
  WITH kept AS (
    SELECT u.s, u.i, u.v FROM unnest(s, v, x, k, i) u(s, v, x, k, i)
    WHERE u.k AND u.v > u.x AND u.v >= (SELECT st.begins FROM {schema}.stream st WHERE st.stream_id = u.s)
  ), stored AS (
    INSERT INTO {schema}.event_key AS ek (stream_id, event_id, version) SELECT n.s, n.i, n.v FROM kept n
    ON CONFLICT ON CONSTRAINT event_key_key DO NOTHING RETURNING ek.version
  )
  SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM stored) INTO wanted, known;
  IF known < wanted THEN
    SELECT u.o INTO bad FROM unnest(s, v, x, k, i) WITH ORDINALITY u(s, v, x, k, i, o)
    WHERE u.k AND u.v > u.x AND (SELECT ek.version FROM {schema}.event_key ek WHERE ek.stream_id = u.s AND ek.event_id = u.i) <> u.v ORDER BY u.o LIMIT 1;
    RAISE EXCEPTION 'stele: id_reused' USING ERRCODE = 'ST001', HINT = bad::text;
  END IF;
  SELECT e.position INTO last FROM {schema}.event e WHERE e.stream_id = s[cardinality(s)] AND e.version = v[cardinality(v)];
  RETURN last;
END {body};

-- import_streams gives streams the state that another journal knows of: what is
-- truncated, whether they exist though they are empty, metadata and revision. It
-- takes back nothing that is later. A stream that does not fit raises ST001:
-- conflict with its version as detail, or revision with its revision; the hint is
-- its ordinal.
CREATE FUNCTION {schema}.import_streams(p_part smallint, s bigint[], v bigint[], f bigint[], b bigint[], y boolean[], r bigint[], m text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE n record;
BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  FOR n IN SELECT u.*, st.first, st.begins, st.created, st.revision, st.metadata::text IS NOT DISTINCT FROM u.m::jsonb::text AS same,
                  coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s ORDER BY e.version DESC LIMIT 1), 0) AS head
           FROM unnest(s, v, f, b, y, r, m) WITH ORDINALITY u(s, v, f, b, y, r, m, o) JOIN {schema}.stream st ON st.stream_id = u.s
           ORDER BY u.s FOR NO KEY UPDATE OF st LOOP
    IF n.head < n.v OR n.begins < n.b THEN
      RAISE EXCEPTION 'stele: conflict' USING ERRCODE = 'ST001', DETAIL = n.head::text, HINT = n.o::text;
    ELSIF n.begins = n.b AND n.revision = n.r AND NOT n.same THEN
      RAISE EXCEPTION 'stele: revision' USING ERRCODE = 'ST001', DETAIL = n.revision::text, HINT = n.o::text;
    ELSIF n.begins = n.b THEN
      UPDATE {schema}.stream st SET first = greatest(st.first, n.f), created = st.created OR n.y, revision = greatest(st.revision, n.r),
        metadata = CASE WHEN st.revision < n.r THEN n.m::jsonb ELSE st.metadata END
      WHERE st.stream_id = n.s;
    END IF;
  END LOOP;
END {body};

COMMENT ON FUNCTION {schema}.import_events(smallint, bigint[], bigint[], bigint[], timestamptz[], boolean[], uuid[], int[], text[], bytea[], bytea[], text[], text[])
  IS 'for administrators only: it stores what the caller says, times and versions included; it needs stream_ids beside it';
COMMENT ON FUNCTION {schema}.import_streams(smallint, bigint[], bigint[], bigint[], bigint[], boolean[], bigint[], text[])
  IS 'for administrators only: it hides events and changes revisions; it needs stream_ids beside it';

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
-- +goose StatementEnd
