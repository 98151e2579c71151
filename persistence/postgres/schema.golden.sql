TABLE event (
  position bigint NOT NULL,
  stream_id bigint NOT NULL,
  version bigint NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT clock_timestamp(),
  event_id uuid NOT NULL,
  schema_id integer NOT NULL,
  part smallint NOT NULL,
  type text COLLATE C NOT NULL,
  payload bytea NOT NULL,
  headers bytea NOT NULL,
  metadata json,
  tags text[] COLLATE C
) WITH {autovacuum_vacuum_insert_scale_factor=0.02,autovacuum_analyze_scale_factor=0.02}

TABLE event_key (
  stream_id bigint NOT NULL,
  event_id uuid NOT NULL,
  version bigint NOT NULL
)

TABLE event_tag (
  tag text COLLATE C NOT NULL,
  part smallint NOT NULL,
  position bigint NOT NULL
)

TABLE journal (
  one boolean NOT NULL DEFAULT true,
  id uuid NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamp with time zone NOT NULL DEFAULT now()
)

TABLE partition (
  part smallint NOT NULL,
  floor bigint NOT NULL DEFAULT 0,
  early boolean NOT NULL DEFAULT false
)

TABLE schema (
  schema_id integer NOT NULL IDENTITY ALWAYS,
  digest bytea NOT NULL,
  encoding smallint NOT NULL,
  body bytea NOT NULL
)

TABLE slice (
  slice smallint NOT NULL,
  part smallint NOT NULL
)

TABLE snapshot (
  stream_id bigint NOT NULL,
  version bigint NOT NULL,
  event_id uuid NOT NULL,
  schema_id integer NOT NULL,
  created_at timestamp with time zone NOT NULL DEFAULT now(),
  checksum integer NOT NULL,
  fingerprint bytea NOT NULL,
  state bytea NOT NULL
) WITH {fillfactor=50}

TABLE stream (
  stream_id bigint NOT NULL IDENTITY ALWAYS,
  first bigint NOT NULL DEFAULT 1,
  revision bigint NOT NULL DEFAULT 0,
  part smallint NOT NULL,
  created boolean NOT NULL DEFAULT false,
  name text COLLATE C NOT NULL,
  category text COLLATE C GENERATED 
CASE
    WHEN (strpos(name, '-'::text) > 1) THEN "left"(name, (strpos(name, '-'::text) - 1))
    ELSE NULL::text
END,
  metadata jsonb,
  begins bigint NOT NULL DEFAULT 1
)

CONSTRAINT event_key_key ON event_key PRIMARY KEY (stream_id, event_id)

CONSTRAINT event_position ON event PRIMARY KEY (part, "position")

CONSTRAINT event_tag_key ON event_tag PRIMARY KEY (tag, part, "position")

CONSTRAINT event_version ON event UNIQUE (stream_id, version)

CONSTRAINT journal_key ON journal PRIMARY KEY (one)

CONSTRAINT journal_one ON journal CHECK (one)

CONSTRAINT partition_key ON partition PRIMARY KEY (part)

CONSTRAINT schema_digest ON schema UNIQUE (digest)

CONSTRAINT schema_key ON schema PRIMARY KEY (schema_id)

CONSTRAINT slice_key ON slice PRIMARY KEY (slice)

CONSTRAINT slice_part ON slice FOREIGN KEY (part) REFERENCES partition(part)

CONSTRAINT slice_range ON slice CHECK (((slice >= 0) AND (slice <= 1023)))

CONSTRAINT snapshot_key ON snapshot PRIMARY KEY (stream_id)

CONSTRAINT stream_key ON stream PRIMARY KEY (stream_id)

CONSTRAINT stream_name ON stream UNIQUE (name)

CREATE UNIQUE INDEX event_key_key ON event_key USING btree (stream_id, event_id)

CREATE UNIQUE INDEX event_position ON event USING btree (part, "position")

CREATE UNIQUE INDEX event_tag_key ON event_tag USING btree (tag, part, "position")

CREATE UNIQUE INDEX event_version ON event USING btree (stream_id, version)

CREATE UNIQUE INDEX journal_key ON journal USING btree (one)

CREATE UNIQUE INDEX partition_key ON partition USING btree (part)

CREATE UNIQUE INDEX schema_digest ON schema USING btree (digest)

CREATE UNIQUE INDEX schema_key ON schema USING btree (schema_id)

CREATE UNIQUE INDEX slice_key ON slice USING btree (slice)

CREATE UNIQUE INDEX snapshot_key ON snapshot USING btree (stream_id)

CREATE INDEX stream_category ON stream USING btree (category, name) WHERE category IS NOT NULL

CREATE UNIQUE INDEX stream_key ON stream USING btree (stream_id)

CREATE UNIQUE INDEX stream_name ON stream USING btree (name)

CREATE FUNCTION append(p_part smallint, p_own boolean, s bigint[], x bigint[], v bigint[], i uuid[], c integer[], t text[], p bytea[], h bytea[], m text[], g text[], OUT base bigint, OUT inserted integer, OUT refused integer[], OUT early boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$ BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  SELECT greatest((SELECT e.position FROM event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), k.floor), k.early AND p_own
    INTO STRICT base, early FROM partition k WHERE k.part = p_part;
  IF early THEN SET LOCAL synchronous_commit = off; END IF; -- outlives the settings of the function, until the commit
  BEGIN
    IF EXISTS (SELECT 1 FROM unnest(s, x, v) u(s, x, v) WHERE u.v = u.x + 1 AND u.x > 0
               AND (SELECT e.version FROM event e WHERE e.stream_id = u.s AND e.version = u.x) IS NULL) THEN RAISE unique_violation; END IF;
    INSERT INTO event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
    SELECT p_part, base + u.o, u.s, u.v, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
    FROM unnest(s, v, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, i, c, t, p, h, m, g, o);
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN;
  EXCEPTION WHEN unique_violation THEN NULL; -- undoes the attempt, keeps the lock
  END;
  SELECT array_agg(u.o::int) INTO refused FROM unnest(s, x, v) WITH ORDINALITY u(s, x, v, o)
  WHERE (SELECT e.version FROM event e WHERE e.stream_id = u.s AND e.version = u.x + 1) IS NOT NULL
     OR (u.x > 0 AND (SELECT e.version FROM event e WHERE e.stream_id = u.s AND e.version = u.x) IS NULL);
  IF refused IS NULL THEN RAISE unique_violation USING MESSAGE = 'two appends to one stream in one batch'; END IF;
  INSERT INTO event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
  SELECT p_part, base + row_number() OVER (ORDER BY u.o), u.s, u.v, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
  FROM unnest(s, v, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, i, c, t, p, h, m, g, o) WHERE NOT u.o::int = ANY (refused);
  GET DIAGNOSTICS inserted = ROW_COUNT;
END $function$


CREATE FUNCTION append_checked(p_part smallint, p_own boolean, p_strict boolean, p_stream bigint, k bigint, named boolean, i uuid[], c integer[], t text[], p bytea[], h bytea[], m text[], g text[], OUT outcome text, OUT last bigint, OUT first_position bigint, OUT reused uuid, OUT early boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE n int := cardinality(i); head bigint; low bigint; alive boolean; found int; v0 bigint; same boolean; r record;
BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  SELECT coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0),
         st.created OR coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1) >= st.first, false), st.first
    INTO STRICT head, alive, low FROM stream st WHERE st.stream_id = p_stream;
  last := head;
  early := false;
  IF named THEN
    SELECT count(*), min(ek.version), bool_and(ek.version = e.version AND e.type = u.t AND e.payload = u.p AND e.schema_id = u.c AND e.metadata::text IS NOT DISTINCT FROM u.m
                    AND e.tags IS NOT DISTINCT FROM string_to_array(u.g, E'\n'))
           AND max(ek.version - u.o) = min(ek.version - u.o)
      INTO found, v0, same
      FROM unnest(i, c, t, p, m, g) WITH ORDINALITY u(i, c, t, p, m, g, o)
      JOIN event_key ek ON ek.stream_id = p_stream AND ek.event_id = u.i
      JOIN event e ON e.stream_id = p_stream AND e.version = ek.version;
    IF found = n AND same THEN
      outcome := 'duplicate';
      last := v0 + n - 1;
      SELECT e.position INTO first_position FROM event e WHERE e.stream_id = p_stream AND e.version = v0;
      SELECT k.early INTO STRICT early FROM partition k WHERE k.part = p_part; -- whose writer may not have flushed it
      RETURN;
    ELSIF found > 0 THEN
      outcome := 'id_reused';
      SELECT ek.event_id INTO reused FROM event_key ek WHERE ek.stream_id = p_stream AND ek.event_id = ANY (i) LIMIT 1;
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
  FROM append(p_part, p_own, array_fill(p_stream, ARRAY[n]), array_fill(head, ARRAY[n]),
         ARRAY(SELECT head + o FROM generate_series(1, n) o), i, c, t, p, h, m, g) a;
  IF r.inserted <> n THEN RAISE EXCEPTION 'stele: inserted % of %', r.inserted, n USING ERRCODE = 'ST002'; END IF;
  IF named THEN
    INSERT INTO event_key (stream_id, event_id, version) SELECT p_stream, u.i, head + u.o FROM unnest(i) WITH ORDINALITY u(i, o);
  END IF;
  last := head + n;
  first_position := r.base + 1;
  early := r.early;
END $function$


CREATE FUNCTION append_lean(p_part smallint, p_own boolean, k_position bigint, k_id uuid, c_stream bigint, c_version bigint, c_id uuid, us bigint[], uv bigint[], p_schema integer, s bigint[], v bigint[], i uuid[], t text[], p bytea[], h bytea[], m json[], g text[], c integer[], OUT base bigint, OUT refused smallint, OUT early boolean)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$ BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  SELECT greatest((SELECT e.position FROM event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), k.floor), k.early
    INTO STRICT base, early FROM partition k WHERE k.part = p_part;
  IF k_position > 0 AND (SELECT e.event_id FROM event e WHERE e.part = p_part AND e.position = k_position) IS DISTINCT FROM k_id THEN
    refused := 1;
  ELSIF c_version > 0 AND (SELECT e.event_id FROM event e WHERE e.stream_id = c_stream AND e.version = c_version) IS DISTINCT FROM c_id THEN
    refused := 2;
  ELSIF cardinality(us) > 0 AND EXISTS (SELECT 1 FROM unnest(us, uv) u(s, v)
      WHERE (SELECT e.version FROM event e WHERE e.stream_id = u.s AND e.version = u.v) IS NULL) THEN
    refused := 3;
  ELSE
    refused := 0;
    IF early AND p_own THEN SET LOCAL synchronous_commit = off; END IF; -- outlives the settings of the function, until the commit
    BEGIN
      INSERT INTO event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
      SELECT p_part, base + u.o, u.s, u.v, u.i, coalesce(u.c, p_schema), u.t, u.p, coalesce(u.h, ''), u.m, string_to_array(u.g, E'\n')
      FROM unnest(s, v, i, t, p, h, m, g, c) WITH ORDINALITY u(s, v, i, t, p, h, m, g, c, o);
    EXCEPTION WHEN unique_violation THEN refused := 4;
    END;
  END IF;
END $function$


CREATE FUNCTION append_single(p_part smallint, p_schema integer, s bigint, v bigint, i uuid, t text, p bytea, h bytea, m json, g text)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE stored bigint;
BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  INSERT INTO event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
  SELECT p_part, greatest((SELECT e.position FROM event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), k.floor) + 1,
         s, v, i, p_schema, t, p, h, m, string_to_array(g, E'\n')
  FROM partition k
  WHERE k.part = p_part AND NOT k.early
    AND (SELECT e.version FROM event e WHERE e.stream_id = s AND e.version = v) IS NULL
    AND (v = 1 OR (SELECT e.version FROM event e WHERE e.stream_id = s AND e.version = v - 1) IS NOT NULL)
  RETURNING position INTO stored;
  RETURN stored;
END $function$


CREATE FUNCTION create_stream(p_stream bigint, m text)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$ BEGIN
  UPDATE stream st SET created = true, metadata = m::jsonb, revision = st.revision + CASE WHEN m IS NULL THEN 0 ELSE 1 END
  WHERE st.stream_id = p_stream AND NOT st.created
    AND coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < st.first;
  RETURN FOUND;
END $function$


CREATE FUNCTION delete_snapshot(p_name text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$ BEGIN
  DELETE FROM snapshot sn USING stream st WHERE st.name = p_name AND sn.stream_id = st.stream_id;
END $function$


CREATE FUNCTION delete_snapshots(p_category text)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$ BEGIN
  DELETE FROM snapshot sn USING stream st WHERE st.category = p_category AND sn.stream_id = st.stream_id;
END $function$


CREATE FUNCTION delete_stream(p_part smallint, p_stream bigint, k bigint, i uuid, OUT outcome text, OUT last bigint, OUT first_position bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE alive boolean;
BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  SELECT st.created OR coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) >= st.first
    INTO alive FROM stream st WHERE st.stream_id = p_stream;
  IF alive IS NOT TRUE THEN
    outcome := 'not_found';
    RETURN;
  END IF;
  SELECT a.outcome, a.last, a.first_position INTO delete_stream.outcome, delete_stream.last, delete_stream.first_position
    FROM append_checked(p_part, false, false, p_stream, k, false, ARRAY[i], ARRAY[0], ARRAY['$deleted'], ARRAY[''::bytea], ARRAY[''::bytea],
                                 ARRAY[NULL::text], ARRAY[NULL::text]) a;
  IF delete_stream.outcome <> 'ok' THEN
    RETURN;
  END IF;
  UPDATE stream st SET first = delete_stream.last + 1, begins = delete_stream.last + 1, created = false, metadata = NULL, revision = st.revision + 1
  WHERE st.stream_id = p_stream;
  DELETE FROM event_key ek WHERE ek.stream_id = p_stream;
  DELETE FROM snapshot sn WHERE sn.stream_id = p_stream;
END $function$


CREATE FUNCTION import_events(p_part smallint, s bigint[], f bigint[], v bigint[], a timestamp with time zone[], k boolean[], i uuid[], c integer[], t text[], p bytea[], h bytea[], m text[], g text[])
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE base bigint; x bigint[]; known bigint; wanted bigint; bad bigint; last bigint; r record;
BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  SELECT greatest((SELECT e.position FROM event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), q.floor)
    INTO STRICT base FROM partition q WHERE q.part = p_part;
  -- The version of each event's stream, as the call finds it.
  SELECT array_agg(coalesce((SELECT e.version FROM event e WHERE e.stream_id = u.s ORDER BY e.version DESC LIMIT 1), 0) ORDER BY u.o)
    INTO x FROM unnest(s) WITH ORDINALITY u(s, o);
  SELECT u.o, u.x INTO bad, last
    FROM unnest(s, f, v, x, i, c, t, p, m, g) WITH ORDINALITY u(s, f, v, x, i, c, t, p, m, g, o)
   WHERE u.f > u.x + 1
      OR u.v <= u.x AND (SELECT e.event_id = u.i AND (e.type = '$gone' OR u.t = '$gone' OR e.type = u.t AND e.payload = u.p AND e.schema_id = u.c
           AND e.metadata::text IS NOT DISTINCT FROM u.m AND e.tags IS NOT DISTINCT FROM string_to_array(u.g, E'\n'))
         FROM event e WHERE e.stream_id = u.s AND e.version = u.v) IS NOT TRUE
   ORDER BY u.o LIMIT 1;
  IF bad IS NOT NULL THEN
    RAISE EXCEPTION 'stele: conflict' USING ERRCODE = 'ST001', DETAIL = last::text, HINT = bad::text;
  END IF;
  INSERT INTO event (part, position, stream_id, version, created_at, event_id, schema_id, type, payload, headers, metadata, tags)
  SELECT p_part, base + row_number() OVER (ORDER BY u.o), u.s, u.v, u.a, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
  FROM unnest(s, v, x, a, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, x, a, i, c, t, p, h, m, g, o) WHERE u.v > u.x;
  FOR r IN SELECT u.s AS stream, max(u.v) AS version, count(*) AS times FROM unnest(s, v, x, t) u(s, v, x, t)
           WHERE u.t = '$deleted' AND u.v > u.x GROUP BY u.s ORDER BY u.s LOOP
    UPDATE stream st SET first = r.version + 1, begins = r.version + 1, created = false, metadata = NULL, revision = st.revision + r.times
    WHERE st.stream_id = r.stream;
    DELETE FROM event_key ek WHERE ek.stream_id = r.stream;
    DELETE FROM snapshot sn WHERE sn.stream_id = r.stream;
  END LOOP;
  -- Ids of a life that has ended in this call are forgotten.
  WITH kept AS (
    SELECT u.s, u.i, u.v FROM unnest(s, v, x, k, i) u(s, v, x, k, i)
    WHERE u.k AND u.v > u.x AND u.v >= (SELECT st.begins FROM stream st WHERE st.stream_id = u.s)
  ), stored AS (
    INSERT INTO event_key AS ek (stream_id, event_id, version) SELECT n.s, n.i, n.v FROM kept n
    ON CONFLICT ON CONSTRAINT event_key_key DO NOTHING RETURNING ek.version
  )
  SELECT (SELECT count(*) FROM kept), (SELECT count(*) FROM stored) INTO wanted, known;
  IF known < wanted THEN
    SELECT u.o INTO bad FROM unnest(s, v, x, k, i) WITH ORDINALITY u(s, v, x, k, i, o)
    WHERE u.k AND u.v > u.x AND (SELECT ek.version FROM event_key ek WHERE ek.stream_id = u.s AND ek.event_id = u.i) <> u.v ORDER BY u.o LIMIT 1;
    RAISE EXCEPTION 'stele: id_reused' USING ERRCODE = 'ST001', HINT = bad::text;
  END IF;
  SELECT e.position INTO last FROM event e WHERE e.stream_id = s[cardinality(s)] AND e.version = v[cardinality(v)];
  RETURN last;
END $function$


CREATE FUNCTION import_streams(p_part smallint, s bigint[], v bigint[], f bigint[], b bigint[], y boolean[], r bigint[], m text[])
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE n record;
BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  FOR n IN SELECT u.*, st.first, st.begins, st.created, st.revision, st.metadata::text IS NOT DISTINCT FROM u.m::jsonb::text AS same,
                  coalesce((SELECT e.version FROM event e WHERE e.stream_id = u.s ORDER BY e.version DESC LIMIT 1), 0) AS head
           FROM unnest(s, v, f, b, y, r, m) WITH ORDINALITY u(s, v, f, b, y, r, m, o) JOIN stream st ON st.stream_id = u.s
           ORDER BY u.s FOR NO KEY UPDATE OF st LOOP
    IF n.head < n.v OR n.begins < n.b THEN
      RAISE EXCEPTION 'stele: conflict' USING ERRCODE = 'ST001', DETAIL = n.head::text, HINT = n.o::text;
    ELSIF n.begins = n.b AND n.revision = n.r AND NOT n.same THEN
      RAISE EXCEPTION 'stele: revision' USING ERRCODE = 'ST001', DETAIL = n.revision::text, HINT = n.o::text;
    ELSIF n.begins = n.b THEN
      UPDATE stream st SET first = greatest(st.first, n.f), created = st.created OR n.y, revision = greatest(st.revision, n.r),
        metadata = CASE WHEN st.revision < n.r THEN n.m::jsonb ELSE st.metadata END
      WHERE st.stream_id = n.s;
    END IF;
  END LOOP;
END $function$


CREATE FUNCTION keep_tags()
 RETURNS trigger
 LANGUAGE plpgsql
AS $function$ BEGIN
  IF TG_OP = 'UPDATE' THEN
    DELETE FROM event_tag g WHERE g.tag = ANY (OLD.tags) AND g.part = OLD.part AND g.position = OLD.position;
  END IF;
  INSERT INTO event_tag (tag, part, position) SELECT t.tag, NEW.part, NEW.position FROM unnest(NEW.tags) t(tag);
  RETURN NULL;
END $function$


CREATE FUNCTION register_schema(p_digest bytea, p_encoding smallint, p_body bytea)
 RETURNS integer
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE id int;
BEGIN
  SELECT c.schema_id INTO id FROM schema c WHERE c.digest = p_digest;
  IF id IS NULL THEN
    INSERT INTO schema (digest, encoding, body) VALUES (p_digest, p_encoding, p_body) ON CONFLICT ON CONSTRAINT schema_digest DO NOTHING;
    SELECT c.schema_id INTO id FROM schema c WHERE c.digest = p_digest;
  END IF;
  RETURN id;
END $function$


CREATE FUNCTION release_early(p_part smallint, p_early boolean)
 RETURNS void
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ BEGIN
  PERFORM pg_advisory_xact_lock(437747658, p_part);
  UPDATE partition k SET early = p_early WHERE k.part = p_part AND k.early <> p_early;
END $function$


CREATE FUNCTION renew()
 RETURNS trigger
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
AS $function$ BEGIN
  UPDATE journal SET id = gen_random_uuid();
  RETURN NULL;
END $function$


CREATE FUNCTION save_snapshot(p_stream bigint, p_version bigint, p_event uuid, p_checksum integer, p_fingerprint bytea, p_state bytea)
 RETURNS boolean
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE low bigint; made boolean;
BEGIN
  SELECT st.first, st.created INTO low, made FROM stream st WHERE st.stream_id = p_stream FOR SHARE;
  IF low IS NULL OR p_version < low - 1
     OR NOT made AND coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < low THEN
    RETURN false;
  END IF;
  INSERT INTO snapshot AS sn (stream_id, version, event_id, schema_id, created_at, checksum, fingerprint, state)
  VALUES (p_stream, p_version, p_event, 0, clock_timestamp(), p_checksum, p_fingerprint, p_state)
  ON CONFLICT ON CONSTRAINT snapshot_key DO UPDATE SET version = excluded.version, event_id = excluded.event_id, created_at = excluded.created_at,
    checksum = excluded.checksum, fingerprint = excluded.fingerprint, state = excluded.state WHERE sn.version <= excluded.version;
  RETURN FOUND;
END $function$


CREATE FUNCTION scavenge(p_stream bigint, p_from bigint, p_limit integer, OUT seen bigint, OUT husks bigint, OUT next bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE low bigint;
BEGIN
  SELECT st.first INTO low FROM stream st WHERE st.stream_id = p_stream;
  SELECT count(*), coalesce(max(v.version) + 1, p_from) INTO seen, next
    FROM (SELECT e.version FROM event e WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < low ORDER BY e.version LIMIT p_limit) v;
  UPDATE event e SET type = '$gone', payload = '', headers = '', metadata = NULL, tags = NULL, schema_id = 0
  WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < scavenge.next AND e.type NOT IN ('$gone', '$deleted');
  GET DIAGNOSTICS husks = ROW_COUNT;
  IF husks > 0 THEN
    DELETE FROM event_key ek
    WHERE ek.stream_id = p_stream AND ek.event_id = ANY (ARRAY(SELECT e.event_id FROM event e
      WHERE e.stream_id = p_stream AND e.version >= p_from AND e.version < scavenge.next)) AND ek.version < scavenge.next;
  END IF;
END $function$


CREATE FUNCTION set_metadata(p_stream bigint, m text, expected bigint, OUT outcome text, OUT revision bigint)
 RETURNS record
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE same boolean; low bigint; made boolean;
BEGIN
  SELECT st.revision, st.metadata::text IS NOT DISTINCT FROM m::jsonb::text, st.first, st.created
    INTO set_metadata.revision, same, low, made FROM stream st WHERE st.stream_id = p_stream FOR NO KEY UPDATE;
  IF made IS NULL OR NOT made AND coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) < low THEN
    outcome := 'not_found';
  ELSIF same THEN
    outcome := 'ok';
  ELSIF expected <> -1 AND expected <> set_metadata.revision THEN
    outcome := 'conflict';
  ELSE
    outcome := 'ok';
    UPDATE stream st SET metadata = m::jsonb, revision = st.revision + 1 WHERE st.stream_id = p_stream RETURNING st.revision INTO set_metadata.revision;
  END IF;
END $function$


CREATE FUNCTION stream_ids(n text[], p smallint[])
 RETURNS TABLE(o bigint, stream_id bigint, part smallint, first bigint)
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
AS $function$
#variable_conflict use_column
BEGIN
  INSERT INTO stream (name, part) SELECT u.n, u.p FROM unnest(n, p) u(n, p) ORDER BY u.n ON CONFLICT (name) DO NOTHING;
  RETURN QUERY SELECT u.o, st.stream_id, st.part, st.first FROM unnest(n) WITH ORDINALITY u(n, o) JOIN stream st ON st.name = u.n;
END $function$


CREATE FUNCTION truncate_stream(p_stream bigint, p_before bigint)
 RETURNS bigint
 LANGUAGE plpgsql
 SECURITY DEFINER
 SET search_path TO 'pg_catalog', 'pg_temp'
 SET plan_cache_mode TO 'force_generic_plan'
 SET enable_seqscan TO 'off'
 SET enable_hashjoin TO 'off'
 SET enable_mergejoin TO 'off'
 SET enable_bitmapscan TO 'off'
AS $function$
DECLARE low bigint;
BEGIN
  UPDATE stream st SET first = greatest(st.first, least(p_before,
      coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0)))
  WHERE st.stream_id = p_stream
    AND (st.created OR coalesce((SELECT e.version FROM event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0) >= st.first)
  RETURNING st.first INTO low;
  RETURN low;
END $function$


CREATE FUNCTION unproven(p_journal uuid)
 RETURNS boolean
 LANGUAGE plpgsql
AS $function$ BEGIN
  IF EXISTS (SELECT FROM journal j WHERE j.one AND j.id = p_journal) THEN
    RAISE EXCEPTION 'stele: another stream' USING ERRCODE = 'ST005';
  END IF;
  RAISE EXCEPTION 'stele: another journal' USING ERRCODE = 'ST004';
END $function$


CREATE TRIGGER event_renew AFTER TRUNCATE ON event FOR EACH STATEMENT EXECUTE FUNCTION renew()

CREATE TRIGGER event_tag_insert AFTER INSERT ON event FOR EACH ROW WHEN (new.tags IS NOT NULL) EXECUTE FUNCTION keep_tags()

CREATE TRIGGER event_tag_update AFTER UPDATE OF tags ON event FOR EACH ROW WHEN (old.tags IS DISTINCT FROM new.tags) EXECUTE FUNCTION keep_tags()

CREATE TRIGGER schema_renew AFTER TRUNCATE ON schema FOR EACH STATEMENT EXECUTE FUNCTION renew()

CREATE TRIGGER stream_renew AFTER TRUNCATE ON stream FOR EACH STATEMENT EXECUTE FUNCTION renew()
