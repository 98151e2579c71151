-- Streams as wholes, tags, snapshots and schemas.
--
-- first_version is the lowest version that can be read and begin_version the one
-- behind the last tombstone. Few streams differ from the defaults, which are not
-- stored for rows that were there before.
ALTER TABLE stream ADD COLUMN first_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE stream ADD COLUMN begin_version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE stream ADD COLUMN created       INTEGER NOT NULL DEFAULT 0; -- 1 when it was made without an event
ALTER TABLE stream ADD COLUMN revision      INTEGER NOT NULL DEFAULT 0;
ALTER TABLE stream ADD COLUMN metadata      TEXT;                       -- a JSON object; NULL when there is none

-- Events by tag, in the order of the sequence. Only events with tags are here.
CREATE TABLE event_tag (
  tag      TEXT    NOT NULL,
  position INTEGER NOT NULL,
  CONSTRAINT event_tag_pk PRIMARY KEY (tag, position)
) STRICT, WITHOUT ROWID;
INSERT INTO event_tag (tag, position)
SELECT t.value, e.position FROM event e, json_each(e.tags) t WHERE e.tags IS NOT NULL;

CREATE TABLE snapshot (
  stream_id   INTEGER NOT NULL CONSTRAINT snapshot_pk PRIMARY KEY,
  version     INTEGER NOT NULL,
  event_id    BLOB    NOT NULL,
  created_at  INTEGER NOT NULL,
  checksum    INTEGER NOT NULL, -- CRC-32C of all that it vouches for
  fingerprint BLOB    NOT NULL,
  state       BLOB    NOT NULL
) STRICT;

CREATE TABLE schema (
  schema_id INTEGER NOT NULL CONSTRAINT schema_pk PRIMARY KEY,
  encoding  INTEGER NOT NULL, -- 1 protobuf, 2 JSON
  digest    BLOB    NOT NULL, -- SHA-256 of the body
  body      BLOB    NOT NULL,
  CONSTRAINT schema_digest UNIQUE (digest, encoding)
) STRICT;
