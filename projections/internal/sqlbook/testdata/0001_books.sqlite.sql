-- The tables as the first release made them in a SQLite file.
CREATE TABLE stele_projection_migration (version integer NOT NULL CONSTRAINT projection_migration_pkey PRIMARY KEY);
INSERT INTO stele_projection_migration (version) VALUES (1);

-- Versions of projections.
CREATE TABLE stele_projection (
  name        text NOT NULL,
  version     integer NOT NULL,
  stopped     boolean NOT NULL,
  active      boolean NOT NULL,
  effects     boolean NOT NULL,
  ready       boolean NOT NULL,
  fingerprint text NOT NULL,
  until       text NOT NULL,              -- a checkpoint, or empty
  switching   boolean NOT NULL,
  successor   integer NOT NULL,
  changes     bigint NOT NULL,
  created_at  bigint NOT NULL,            -- all times are microseconds since 1970
  CONSTRAINT projection_pkey PRIMARY KEY (name, version)
);

-- How far their workers have come. Rows are updated with every page and stay small,
-- so that they need no new place each time.
CREATE TABLE stele_projection_worker (
  name       text NOT NULL,
  version    integer NOT NULL,
  low        integer NOT NULL,            -- slices from low to high, without high
  high       integer NOT NULL,
  checkpoint text NOT NULL,
  sub        integer NOT NULL,
  sub_of     text NOT NULL,               -- an event id
  epoch      bigint NOT NULL,
  state      blob,
  node       text NOT NULL,
  cause      text NOT NULL,
  moved_at   bigint NOT NULL,
  CONSTRAINT projection_worker_pkey PRIMARY KEY (name, version, low)
);

-- Events that were set aside, by reference.
CREATE TABLE stele_projection_parked (
  name      text NOT NULL,
  version   integer NOT NULL,
  part      integer NOT NULL,
  position  bigint NOT NULL,
  stream    text NOT NULL,
  sub       integer NOT NULL,
  lane      text NOT NULL,
  cause     text NOT NULL,                -- empty: stands behind another one of its lane
  attempts  integer NOT NULL,             -- -1: left out for good
  retry     boolean NOT NULL,
  parked_at bigint NOT NULL,
  CONSTRAINT projection_parked_pkey PRIMARY KEY (name, version, part, position)
);
