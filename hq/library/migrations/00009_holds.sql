-- +goose Up
-- What was said about calls that must not be given up, by whom and why. The last word about a call counts; none is deleted.
CREATE TABLE holds (
  n    INTEGER PRIMARY KEY, -- in the order in which they were said
  call TEXT    NOT NULL REFERENCES calls (id),
  held INTEGER NOT NULL, -- 0: it is let go
  why  TEXT    NOT NULL,
  by   TEXT    NOT NULL,
  at   INTEGER NOT NULL
) STRICT;

CREATE INDEX holds_of_call ON holds (call, n);
