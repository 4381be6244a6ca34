-- Async jobs: what happened to each, what is owed to its webhook, and which key asked for it (ADR 0010).

-- Every transition of an async job, numbered per job.
CREATE TABLE transitions (
  job_seq        INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  sequence       INTEGER NOT NULL CHECK (sequence >= 1),
  previous_state TEXT,
  state          TEXT    NOT NULL,
  attempt        INTEGER NOT NULL,
  at             INTEGER NOT NULL,
  error_code     TEXT,
  error_message  TEXT,
  PRIMARY KEY (job_seq, sequence)
) STRICT, WITHOUT ROWID;

-- One delivery per transition of a job with a webhook. Only the oldest owed one of a job has a due time: that is the order.
CREATE TABLE deliveries (
  id           INTEGER PRIMARY KEY,
  job_seq      INTEGER NOT NULL,
  sequence     INTEGER NOT NULL,
  -- Scheme, host and port of the webhook URL: receivers that hang are passed over without reading what they are owed.
  origin       TEXT    NOT NULL,
  state        TEXT    NOT NULL DEFAULT 'owed' CHECK (state IN ('owed', 'accepted', 'given_up')),
  tries        INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
  due_at       INTEGER,
  last_problem TEXT,
  UNIQUE (job_seq, sequence),
  FOREIGN KEY (job_seq, sequence) REFERENCES transitions (job_seq, sequence) ON DELETE CASCADE,
  CHECK (due_at IS NULL OR state = 'owed')
) STRICT;

CREATE INDEX deliveries_owed ON deliveries (job_seq) WHERE state = 'owed';
CREATE INDEX deliveries_due ON deliveries (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deliveries_lanes ON deliveries (origin, due_at) WHERE due_at IS NOT NULL;

CREATE TABLE idempotency_keys (
  key         TEXT    PRIMARY KEY,
  fingerprint BLOB    NOT NULL,
  job_seq     INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE INDEX idempotency_keys_job ON idempotency_keys (job_seq);

-- The database writes down what is owed, in the transition's own transaction, so no code path can forget it.
CREATE TRIGGER jobs_submitted AFTER INSERT ON jobs WHEN NEW.kind = 'async'
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at)
    VALUES (NEW.seq, 1, NULL, NEW.state, NEW.attempt, NEW.updated_at);
  INSERT INTO deliveries (job_seq, sequence, origin, due_at)
    SELECT NEW.seq, 1, substr(NEW.webhook_url, 1, instr(substr(NEW.webhook_url, 9) || '/', '/') + 7), NEW.updated_at
    WHERE NEW.webhook_url IS NOT NULL;
END;

CREATE TRIGGER jobs_transitioned AFTER UPDATE OF state ON jobs WHEN NEW.kind = 'async' AND NEW.state IS NOT OLD.state
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at, error_code, error_message)
    SELECT NEW.seq, max(sequence) + 1, OLD.state, NEW.state, NEW.attempt, NEW.updated_at, NEW.error_code, NEW.error_message
    FROM transitions WHERE job_seq = NEW.seq;
  INSERT INTO deliveries (job_seq, sequence, origin, due_at)
    SELECT NEW.seq, max(sequence), substr(NEW.webhook_url, 1, instr(substr(NEW.webhook_url, 9) || '/', '/') + 7),
      CASE WHEN EXISTS (SELECT 1 FROM deliveries WHERE job_seq = NEW.seq AND state = 'owed') THEN NULL ELSE NEW.updated_at END
    FROM transitions WHERE job_seq = NEW.seq AND NEW.webhook_url IS NOT NULL
    HAVING max(sequence) IS NOT NULL;
END;

-- When a delivery is over, the next one of the same job becomes due.
CREATE TRIGGER deliveries_next AFTER UPDATE OF state ON deliveries WHEN OLD.state = 'owed' AND NEW.state <> 'owed'
BEGIN
  UPDATE deliveries SET due_at = 0
    WHERE id = (SELECT id FROM deliveries WHERE job_seq = NEW.job_seq AND state = 'owed' ORDER BY sequence LIMIT 1);
END;
