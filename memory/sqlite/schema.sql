-- The layout of format 1. Times are microseconds since 1970, UTC; NULL is none.

CREATE TABLE runs (
  n        INTEGER PRIMARY KEY,     -- the run's number in this file
  run      TEXT NOT NULL UNIQUE,
  agent    TEXT NOT NULL,
  status   TEXT NOT NULL,
  title    TEXT NOT NULL,
  reason   TEXT NOT NULL,
  parent   TEXT NOT NULL,           -- the run that started it as a delegate; '' for a root
  wake     INTEGER,
  want     INTEGER,                 -- when it next wants attention: wake, or the end of the lease
  token    TEXT,                    -- of the claim; kept after the lease until somebody takes the run
  worker   TEXT,
  process  TEXT,                    -- whose claim it is: <path>.procs/<process>.lock
  strikes  INTEGER NOT NULL DEFAULT 0,
  last_seq INTEGER NOT NULL,
  last_id  TEXT NOT NULL,
  created  INTEGER NOT NULL,
  updated  INTEGER NOT NULL
);
CREATE INDEX runs_want    ON runs(agent, want, run) WHERE want IS NOT NULL;
CREATE INDEX runs_updated ON runs(updated DESC, run);
CREATE INDEX runs_process ON runs(process) WHERE process IS NOT NULL;
CREATE INDEX runs_parent  ON runs(parent) WHERE parent != '';

CREATE TABLE records (
  place INTEGER PRIMARY KEY,        -- n * 2^32 + seq: the records of a run lie together, in order
  id    TEXT NOT NULL,
  time  INTEGER NOT NULL,
  crc   INTEGER NOT NULL,           -- CRC-32C of all the rest
  data  BLOB NOT NULL
);

CREATE TABLE snapshots (
  n    INTEGER PRIMARY KEY,
  seq  INTEGER NOT NULL,
  id   TEXT NOT NULL,
  crc  INTEGER NOT NULL,
  data BLOB NOT NULL
);

CREATE TABLE asks (
  ask    TEXT PRIMARY KEY,
  n      INTEGER NOT NULL,
  kind   TEXT NOT NULL,
  opened INTEGER NOT NULL,
  due    INTEGER,
  people TEXT NOT NULL,             -- +who may answer,-who may not,=who has claimed it
  crc    INTEGER NOT NULL,          -- CRC-32C of all the rest, but of data only through its sum
  sum    INTEGER NOT NULL,          -- CRC-32C of data: lists look at asks without them
  data   BLOB NOT NULL
);
CREATE INDEX asks_opened ON asks(opened, ask);
CREATE INDEX asks_run    ON asks(n);

CREATE TABLE words (
  place   INTEGER PRIMARY KEY,      -- n * 2^32 + how many bytes of the attempt come before
  attempt TEXT NOT NULL,
  data    BLOB NOT NULL
);

CREATE TABLE blobs (
  blob INTEGER PRIMARY KEY,
  run  TEXT NOT NULL,               -- which need not exist yet
  hash TEXT NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (run, hash)
);

CREATE TABLE erased (
  run  TEXT PRIMARY KEY,
  time INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE processes (
  process TEXT PRIMARY KEY
) WITHOUT ROWID;
