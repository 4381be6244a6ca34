-- Bodies of more than 1 MiB, in pieces: no turn of the event loop writes or reads more than one (ADR 0026).

CREATE TABLE large_bodies (
  id       INTEGER PRIMARY KEY,
  -- NULL: it is being written, or nobody has it any more and its pieces go one by one.
  job_seq  INTEGER REFERENCES jobs (seq) ON DELETE SET NULL,
  -- The artifact that it is; NULL: it is the request.
  artifact TEXT,
  size     INTEGER NOT NULL CHECK (size >= 0)
) STRICT;

CREATE INDEX large_bodies_job ON large_bodies (job_seq);

CREATE TABLE body_pieces (
  body_id INTEGER NOT NULL REFERENCES large_bodies (id) ON DELETE CASCADE,
  piece   INTEGER NOT NULL CHECK (piece >= 0),
  bytes   BLOB    NOT NULL,
  PRIMARY KEY (body_id, piece)
) STRICT;
