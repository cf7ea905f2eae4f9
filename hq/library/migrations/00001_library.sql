-- +goose Up
-- Times are nanoseconds since 1970, UTC; durations are nanoseconds.

CREATE TABLE recorders (
  device TEXT PRIMARY KEY,
  key    BLOB    NOT NULL, -- Ed25519 public key
  site   TEXT    NOT NULL,
  added  INTEGER NOT NULL,
  seen   INTEGER NOT NULL DEFAULT 0, -- 0: never
  via    TEXT    NOT NULL DEFAULT '',
  status TEXT                        -- wire.Status as JSON
) STRICT;

-- A telephone line at a site. A recorder that moves gets new rows, so that earlier calls stay where they were made.
CREATE TABLE lines (
  n      INTEGER PRIMARY KEY,
  device TEXT NOT NULL REFERENCES recorders,
  line   TEXT NOT NULL,
  site   TEXT NOT NULL,
  UNIQUE (device, line, site)
) STRICT;

CREATE TABLE calls (
  n         INTEGER PRIMARY KEY,
  id        TEXT    NOT NULL UNIQUE,
  line      INTEGER NOT NULL REFERENCES lines,
  number    INTEGER NOT NULL,
  stage     TEXT    NOT NULL,
  began     INTEGER NOT NULL,
  grade     TEXT    NOT NULL,
  duration  INTEGER NOT NULL,
  began_by  TEXT    NOT NULL,
  ended_by  TEXT    NOT NULL,
  codec     TEXT    NOT NULL,
  channels  INTEGER NOT NULL,
  sides     TEXT    NOT NULL, -- JSON
  rate      INTEGER NOT NULL,
  gaps      TEXT    NOT NULL, -- JSON
  recovered INTEGER NOT NULL,
  size      INTEGER NOT NULL,
  sha256    TEXT    NOT NULL,
  received  INTEGER NOT NULL, -- 0: the call file has not arrived
  via       TEXT    NOT NULL
) STRICT;

-- The list, and the list of one line: newest first, ties by ID so that a page has a definite end.
CREATE INDEX calls_newest ON calls (began DESC, id DESC, line);
CREATE INDEX calls_of_line ON calls (line, began DESC, id DESC);

CREATE TABLE receipts (
  call INTEGER PRIMARY KEY REFERENCES calls,
  jws  TEXT NOT NULL
) STRICT;

CREATE TABLE entries (
  device   TEXT    NOT NULL,
  epoch    TEXT    NOT NULL,
  number   INTEGER NOT NULL,
  type     TEXT    NOT NULL,
  received INTEGER NOT NULL,
  jws      BLOB    NOT NULL, -- the exact bytes
  PRIMARY KEY (device, epoch, number)
) STRICT;

-- How far the entries of a recorder's epoch reach without a hole.
CREATE TABLE epochs (
  device  TEXT    NOT NULL,
  epoch   TEXT    NOT NULL,
  gapless INTEGER NOT NULL,
  PRIMARY KEY (device, epoch)
) STRICT, WITHOUT ROWID;

-- Entries that a recorder's recovery could not read, and has said so: they will never come.
CREATE TABLE lost (
  device TEXT    NOT NULL,
  epoch  TEXT    NOT NULL,
  first  INTEGER NOT NULL,
  last   INTEGER NOT NULL,
  PRIMARY KEY (device, epoch, first)
) STRICT, WITHOUT ROWID;

CREATE TABLE peaks (
  call  TEXT PRIMARY KEY,
  peaks BLOB NOT NULL
) STRICT;

CREATE TABLE users (
  name     TEXT PRIMARY KEY,
  password TEXT    NOT NULL, -- argon2id, PHC string form
  added    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
  token   TEXT PRIMARY KEY, -- SHA-256 of it, hex
  user    TEXT    NOT NULL REFERENCES users ON DELETE CASCADE,
  expires INTEGER NOT NULL
) STRICT;

CREATE INDEX sessions_of_user ON sessions (user);
