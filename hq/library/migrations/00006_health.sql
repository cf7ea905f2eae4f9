-- +goose Up
-- What recorders' boards said of their health, line by line, each as JSON (wire.Health).
CREATE TABLE health (
  id     INTEGER PRIMARY KEY, -- in the order of coming
  device TEXT    NOT NULL REFERENCES recorders,
  number INTEGER NOT NULL,    -- in the recorder's log
  time   INTEGER NOT NULL,
  line   TEXT    NOT NULL,
  UNIQUE (device, number, time)
) STRICT;
