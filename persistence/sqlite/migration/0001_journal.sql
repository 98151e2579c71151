-- The tables of a journal. The unique key on (stream_id, version) is what makes
-- one writer per version true; all else is speed.
CREATE TABLE journal (
  one        INTEGER NOT NULL CONSTRAINT journal_pk PRIMARY KEY CONSTRAINT journal_one CHECK (one = 1),
  id         BLOB    NOT NULL,
  created_at INTEGER NOT NULL -- microseconds since 1970, as everywhere here
) STRICT;
INSERT INTO journal (one, id, created_at) VALUES (1, randomblob(16), CAST(unixepoch('subsec') * 1000000 AS INTEGER));

CREATE TABLE stream (
  stream_id INTEGER NOT NULL CONSTRAINT stream_pk PRIMARY KEY,
  name      TEXT    NOT NULL CONSTRAINT stream_name UNIQUE,
  category  TEXT
) STRICT;
CREATE INDEX stream_category ON stream (category, name) WHERE category IS NOT NULL;

-- What is looked at most stands first and the payload last: a long row spills
-- into other pages from its end.
CREATE TABLE event (
  position   INTEGER NOT NULL CONSTRAINT event_pk PRIMARY KEY,
  stream_id  INTEGER NOT NULL,
  version    INTEGER NOT NULL,
  event_id   BLOB    NOT NULL,
  created_at INTEGER NOT NULL,
  schema_id  INTEGER NOT NULL,
  type       TEXT    NOT NULL,
  tags       TEXT,            -- a JSON array; NULL when there is none
  metadata   TEXT,            -- a JSON object; NULL when there is none
  headers    BLOB,            -- NULL when empty
  payload    BLOB,            -- NULL when empty
  CONSTRAINT event_version UNIQUE (stream_id, version)
) STRICT;

-- Ids that writers chose, to find them again. Ids that the journal made are not
-- here, which is what makes them cheap.
CREATE TABLE event_key (
  stream_id INTEGER NOT NULL,
  event_id  BLOB    NOT NULL,
  version   INTEGER NOT NULL,
  CONSTRAINT event_key_pk PRIMARY KEY (stream_id, event_id)
) STRICT, WITHOUT ROWID;
