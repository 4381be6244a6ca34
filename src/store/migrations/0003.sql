-- Webhooks as a place in the transitions: a row per job and not one per transition, so that a receiver that hangs costs the worker nothing (ADR 0010).

-- How far the receiver of a job has been told.
CREATE TABLE webhooks (
  job_seq      INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
  -- Scheme, host and port of the webhook URL: receivers that hang are passed over without reading what they are owed.
  origin       TEXT    NOT NULL,
  -- The transition that is told next: that is the order.
  sequence     INTEGER NOT NULL DEFAULT 1 CHECK (sequence >= 1),
  tries        INTEGER NOT NULL DEFAULT 0 CHECK (tries >= 0),
  -- NULL: everything that has happened is told.
  due_at       INTEGER,
  last_problem TEXT
) STRICT;

INSERT INTO webhooks (job_seq, origin, sequence, tries, due_at, last_problem)
  SELECT j.seq, substr(j.webhook_url, 1, instr(substr(j.webhook_url, 9) || '/', '/') + 7),
    coalesce(d.sequence, (SELECT max(sequence) + 1 FROM transitions WHERE job_seq = j.seq)), coalesce(d.tries, 0), d.due_at, d.last_problem
  FROM jobs j LEFT JOIN deliveries d ON d.job_seq = j.seq AND d.due_at IS NOT NULL
  WHERE j.kind = 'async' AND j.webhook_url IS NOT NULL;

CREATE INDEX webhooks_due ON webhooks (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhooks_lanes ON webhooks (origin, due_at) WHERE due_at IS NOT NULL;

DROP TRIGGER jobs_submitted;
DROP TRIGGER jobs_transitioned;
DROP TABLE deliveries;

-- The database writes down what is owed, in the transition's own transaction, so no code path can forget it.
CREATE TRIGGER jobs_submitted AFTER INSERT ON jobs WHEN NEW.kind = 'async'
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at)
    VALUES (NEW.seq, 1, NULL, NEW.state, NEW.attempt, NEW.updated_at);
  INSERT INTO webhooks (job_seq, origin, due_at)
    SELECT NEW.seq, substr(NEW.webhook_url, 1, instr(substr(NEW.webhook_url, 9) || '/', '/') + 7), NEW.updated_at
    WHERE NEW.webhook_url IS NOT NULL;
END;

CREATE TRIGGER jobs_transitioned AFTER UPDATE OF state ON jobs WHEN NEW.kind = 'async' AND NEW.state IS NOT OLD.state
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at, error_code, error_message)
    SELECT NEW.seq, max(sequence) + 1, OLD.state, NEW.state, NEW.attempt, NEW.updated_at, NEW.error_code, NEW.error_message
    FROM transitions WHERE job_seq = NEW.seq;
  -- One that is behind already tells this transition in its turn.
  UPDATE webhooks SET due_at = NEW.updated_at WHERE job_seq = NEW.seq AND due_at IS NULL;
END;
