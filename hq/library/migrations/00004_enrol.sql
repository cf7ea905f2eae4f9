-- +goose Up
-- Tokens that each let one recorder enrol, by their SHA-256: who reads the database cannot use one. Once used, a token
-- belongs to the device, which may ask again in case the answer was lost.
CREATE TABLE tokens (
  sha256  BLOB    PRIMARY KEY,
  site    TEXT    NOT NULL,
  made    INTEGER NOT NULL,
  expires INTEGER NOT NULL,
  device  TEXT                -- NULL: not used yet
) STRICT, WITHOUT ROWID;

-- 0: let in. Otherwise since when it is shut out.
ALTER TABLE recorders ADD COLUMN revoked INTEGER NOT NULL DEFAULT 0;
