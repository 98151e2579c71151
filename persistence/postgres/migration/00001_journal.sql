-- The journal's tables and the functions that append. What stands in braces is
-- filled in: the quoted name of the schema, the first key of its order lock, and
-- as body a quote that the schema's name does not contain.

-- +goose Up
-- +goose StatementBegin
CREATE TABLE {schema}.journal (
  one        boolean     NOT NULL DEFAULT true,
  id         uuid        NOT NULL DEFAULT gen_random_uuid(),
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT journal_key PRIMARY KEY (one),
  CONSTRAINT journal_one CHECK (one)
);
INSERT INTO {schema}.journal DEFAULT VALUES;

CREATE TABLE {schema}.partition (
  part  smallint NOT NULL,
  floor bigint   NOT NULL DEFAULT 0,
  early boolean  NOT NULL DEFAULT false,
  CONSTRAINT partition_key PRIMARY KEY (part)
);
COMMENT ON COLUMN {schema}.partition.floor IS 'raised only when the newest rows are archived, so that no position is used twice';
COMMENT ON COLUMN {schema}.partition.early IS 'whether writers release the order lock before their commit is flushed';
INSERT INTO {schema}.partition (part) VALUES (0);

CREATE TABLE {schema}.slice (
  slice smallint NOT NULL,
  part  smallint NOT NULL,
  CONSTRAINT slice_key PRIMARY KEY (slice),
  CONSTRAINT slice_range CHECK (slice BETWEEN 0 AND 1023),
  CONSTRAINT slice_part FOREIGN KEY (part) REFERENCES {schema}.partition
);
INSERT INTO {schema}.slice SELECT g, 0 FROM generate_series(0, 1023) g;

CREATE TABLE {schema}.schema (
  schema_id int      GENERATED ALWAYS AS IDENTITY,
  digest    bytea    NOT NULL,
  encoding  smallint NOT NULL,
  body      bytea    NOT NULL,
  CONSTRAINT schema_key PRIMARY KEY (schema_id),
  CONSTRAINT schema_digest UNIQUE (digest)
);
COMMENT ON COLUMN {schema}.schema.encoding IS '0 raw, 1 protobuf, 2 JSON';
INSERT INTO {schema}.schema (schema_id, digest, encoding, body) OVERRIDING SYSTEM VALUE VALUES (0, '', 0, '');

CREATE TABLE {schema}.stream (
  stream_id bigint   GENERATED ALWAYS AS IDENTITY,
  first     bigint   NOT NULL DEFAULT 1,
  revision  bigint   NOT NULL DEFAULT 0,
  part      smallint NOT NULL,
  created   boolean  NOT NULL DEFAULT false,
  name      text     COLLATE "C" NOT NULL,
  category  text     COLLATE "C" GENERATED ALWAYS AS (CASE WHEN strpos(name, '-') > 1 THEN left(name, strpos(name, '-') - 1) END) STORED,
  metadata  jsonb,
  CONSTRAINT stream_key PRIMARY KEY (stream_id),
  CONSTRAINT stream_name UNIQUE (name)
);
CREATE INDEX stream_category ON {schema}.stream (category, name) WHERE category IS NOT NULL;

-- Fixed widths first: no padding. Two indexes only; a third costs a fifth of the
-- log volume of every append. Metadata is json, in the one form that the journal
-- writes: jsonb takes 23 bytes more of 115, and has to be printed for every reader.
CREATE TABLE {schema}.event (
  position   bigint      NOT NULL,
  stream_id  bigint      NOT NULL,
  version    bigint      NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  event_id   uuid        NOT NULL,
  schema_id  int         NOT NULL,
  part       smallint    NOT NULL,
  type       text        COLLATE "C" NOT NULL,
  payload    bytea       NOT NULL,
  headers    bytea       NOT NULL,
  metadata   json,
  tags       text[]      COLLATE "C",
  CONSTRAINT event_position PRIMARY KEY (part, position),
  CONSTRAINT event_version UNIQUE (stream_id, version)
);
ALTER TABLE {schema}.event SET (autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02);
DO {body}
BEGIN
  ALTER TABLE {schema}.event ALTER payload SET COMPRESSION lz4, ALTER headers SET COMPRESSION lz4, ALTER metadata SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN NULL; -- a server built without lz4 keeps its default
END {body};

CREATE TABLE {schema}.event_key (
  stream_id bigint NOT NULL,
  event_id  uuid   NOT NULL,
  version   bigint NOT NULL,
  CONSTRAINT event_key_key PRIMARY KEY (stream_id, event_id)
);
COMMENT ON TABLE {schema}.event_key IS 'only of events whose id the caller chose';

CREATE TABLE {schema}.snapshot (
  stream_id   bigint      NOT NULL,
  version     bigint      NOT NULL,
  event_id    uuid        NOT NULL,
  schema_id   int         NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  checksum    int         NOT NULL,
  fingerprint bytea       NOT NULL,
  state       bytea       NOT NULL,
  CONSTRAINT snapshot_key PRIMARY KEY (stream_id)
) WITH (fillfactor = 50);

-- append stores the events of many appends, at most one for each stream. The
-- arrays are per event: stream, expected version of its append, version, id,
-- schema, type, payload, headers, metadata, and tags with a line feed between
-- each two. An append whose expectation fails is refused as a whole, the others
-- are stored; refused holds the ordinals of the refused events, and the others
-- have the positions base+1, base+2 … in order.
-- The lock makes positions gapless and their order that of the commits: it is
-- held until the commit is visible.
-- The scalar sub-selects and the settings keep the plans index scans on a table
-- without statistics; without the generic plan every call would be planned anew.
CREATE FUNCTION {schema}.append(p_part smallint, p_own boolean, s bigint[], x bigint[], v bigint[], i uuid[], c int[], t text[], p bytea[], h bytea[], m text[], g text[],
                                OUT base bigint, OUT inserted int, OUT refused int[], OUT early boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body} BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT greatest((SELECT e.position FROM {schema}.event e WHERE e.part = p_part ORDER BY e.position DESC LIMIT 1), k.floor), k.early AND p_own
    INTO STRICT base, early FROM {schema}.partition k WHERE k.part = p_part;
  IF early THEN SET LOCAL synchronous_commit = off; END IF; -- outlives the settings of the function, until the commit
  BEGIN
    IF EXISTS (SELECT 1 FROM unnest(s, x, v) u(s, x, v) WHERE u.v = u.x + 1 AND u.x > 0
               AND (SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s AND e.version = u.x) IS NULL) THEN RAISE unique_violation; END IF;
    INSERT INTO {schema}.event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
    SELECT p_part, base + u.o, u.s, u.v, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
    FROM unnest(s, v, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, i, c, t, p, h, m, g, o);
    GET DIAGNOSTICS inserted = ROW_COUNT;
    RETURN;
  EXCEPTION WHEN unique_violation THEN NULL; -- undoes the attempt, keeps the lock
  END;
  SELECT array_agg(u.o::int) INTO refused FROM unnest(s, x, v) WITH ORDINALITY u(s, x, v, o)
  WHERE (SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s AND e.version = u.x + 1) IS NOT NULL
     OR (u.x > 0 AND (SELECT e.version FROM {schema}.event e WHERE e.stream_id = u.s AND e.version = u.x) IS NULL);
  IF refused IS NULL THEN RAISE unique_violation USING MESSAGE = 'two appends to one stream in one batch'; END IF;
  INSERT INTO {schema}.event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata, tags)
  SELECT p_part, base + row_number() OVER (ORDER BY u.o), u.s, u.v, u.i, u.c, u.t, u.p, u.h, u.m::json, string_to_array(u.g, E'\n')
  FROM unnest(s, v, i, c, t, p, h, m, g) WITH ORDINALITY u(s, v, i, c, t, p, h, m, g, o) WHERE NOT u.o::int = ANY (refused);
  GET DIAGNOSTICS inserted = ROW_COUNT;
END {body};

-- append_checked stores one append under any expectation: k >= 0 exact (0 = no
-- stream), -1 any, -2 the stream exists. named says that the caller chose the
-- ids, which are then looked for. The outcome is ok, conflict, duplicate or
-- id_reused; last is the version of the last event of the append when it is
-- stored, else of the stream; reused is an id that the stream holds. Metadata
-- compares as text: 1 and 1.0 are not the same. p_strict raises ST001 instead of telling a refusal.
CREATE FUNCTION {schema}.append_checked(p_part smallint, p_own boolean, p_strict boolean, p_stream bigint, k bigint, named boolean,
                                        i uuid[], c int[], t text[], p bytea[], h bytea[], m text[], g text[],
                                        OUT outcome text, OUT last bigint, OUT first_position bigint, OUT reused uuid, OUT early boolean)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
AS {body}
DECLARE n int := cardinality(i); head bigint; alive boolean; found int; v0 bigint; same boolean; r record;
BEGIN
  PERFORM pg_advisory_xact_lock({lock}, p_part);
  SELECT coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1), 0),
         st.created OR coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = p_stream ORDER BY e.version DESC LIMIT 1) >= st.first, false)
    INTO STRICT head, alive FROM {schema}.stream st WHERE st.stream_id = p_stream;
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
      RETURN;
    ELSIF found > 0 THEN
      outcome := 'id_reused';
      SELECT ek.event_id INTO reused FROM {schema}.event_key ek WHERE ek.stream_id = p_stream AND ek.event_id = ANY (i) LIMIT 1;
    END IF;
  END IF;
  IF outcome IS NULL THEN
    outcome := CASE WHEN k = -1 THEN 'ok'
                    WHEN k = -2 THEN CASE WHEN alive THEN 'ok' ELSE 'conflict' END
                    WHEN k = 0 THEN CASE WHEN head = 0 OR NOT alive THEN 'ok' ELSE 'conflict' END
                    ELSE CASE WHEN head = k THEN 'ok' ELSE 'conflict' END END;
  END IF;
  IF outcome <> 'ok' THEN
    IF p_strict THEN RAISE EXCEPTION 'stele: %', outcome USING ERRCODE = 'ST001', DETAIL = head::text; END IF;
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

-- stream_ids returns the ids of streams by name and makes the missing ones. The
-- sort keeps two callers from a deadlock. A row alone does not make a stream
-- exist, so one that is never written to is invisible.
CREATE FUNCTION {schema}.stream_ids(n text[], p smallint[]) RETURNS TABLE (o bigint, stream_id bigint, part smallint, first bigint)
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
AS {body}
#variable_conflict use_column
BEGIN
  INSERT INTO {schema}.stream (name, part) SELECT u.n, u.p FROM unnest(n, p) u(n, p) ORDER BY u.n ON CONFLICT (name) DO NOTHING;
  RETURN QUERY SELECT u.o, st.stream_id, st.part, st.first FROM unnest(n) WITH ORDINALITY u(n, o) JOIN {schema}.stream st ON st.name = u.n;
END {body};

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} FROM PUBLIC;
-- +goose StatementEnd
