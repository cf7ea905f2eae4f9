-- +goose Up
-- What a recorder's clock was off by in one of its boots: to be added to the times of that boot whose grade is worse.
CREATE TABLE corrections (
  device TEXT    NOT NULL,
  boot   TEXT    NOT NULL,
  add_ns INTEGER NOT NULL,
  grade  TEXT    NOT NULL,
  PRIMARY KEY (device, boot)
) STRICT, WITHOUT ROWID;

-- began and grade are as corrected; these are as the recorder believed when the call began. Of the calls that are here
-- already the boot is not known: nobody had signed a correction then.
ALTER TABLE calls ADD COLUMN boot           TEXT    NOT NULL DEFAULT '';
ALTER TABLE calls ADD COLUMN believed       INTEGER NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN believed_grade TEXT    NOT NULL DEFAULT '';
UPDATE calls SET believed = began, believed_grade = grade;
CREATE INDEX calls_of_boot ON calls (boot) WHERE boot <> '';
