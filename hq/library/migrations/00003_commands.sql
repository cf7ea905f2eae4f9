-- +goose Up
-- What was wanted of recorders. Numbers are milliseconds since 1970 where the clock goes forward, so that they grow also
-- when the database was put back from a copy.

CREATE TABLE commands (
  number INTEGER PRIMARY KEY,
  device TEXT    NOT NULL REFERENCES recorders,
  kind   TEXT    NOT NULL,
  call   TEXT,
  why    TEXT    NOT NULL,
  by     TEXT    NOT NULL,
  given  INTEGER NOT NULL,
  ended  INTEGER NOT NULL DEFAULT 0, -- 0: no result yet
  error  TEXT    NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX commands_open ON commands (device, number) WHERE ended = 0;
CREATE INDEX commands_of_call ON commands (call, number) WHERE call IS NOT NULL;
