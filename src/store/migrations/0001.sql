-- The queue. Every rule that must never break is a constraint here, whatever the code does (ADR 0001).

CREATE TABLE job_transitions (
  from_state TEXT NOT NULL,
  to_state   TEXT NOT NULL,
  PRIMARY KEY (from_state, to_state)
) STRICT, WITHOUT ROWID;

INSERT INTO job_transitions (from_state, to_state) VALUES
  ('queued', 'loading'), ('queued', 'failed'), ('queued', 'cancelled'),
  ('loading', 'working'), ('loading', 'queued'), ('loading', 'failed'), ('loading', 'cancelled'),
  ('working', 'done'), ('working', 'queued'), ('working', 'failed'), ('working', 'cancelled');

-- Rows are kept slim: bodies live beside them, so that a claim rewrites 200 bytes and not the prompt.
CREATE TABLE jobs (
  seq               INTEGER PRIMARY KEY,
  id                TEXT    NOT NULL UNIQUE,
  kind              TEXT    NOT NULL CHECK (kind IN ('sync', 'async')),
  endpoint          TEXT    NOT NULL,
  model             TEXT    NOT NULL,
  residency_key     TEXT    NOT NULL,
  state             TEXT    NOT NULL DEFAULT 'queued'
                    CHECK (state IN ('queued', 'loading', 'working', 'done', 'failed', 'cancelled')),
  attempt           INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0),
  max_attempts      INTEGER NOT NULL CHECK (max_attempts >= 1),
  deferrals         INTEGER NOT NULL DEFAULT 0 CHECK (deferrals >= 0),
  not_before        INTEGER,
  webhook_url       TEXT,
  error_code        TEXT,
  error_message     TEXT,
  prompt_tokens     INTEGER,
  completion_tokens INTEGER,
  total_duration_ms INTEGER,
  created_at        INTEGER NOT NULL,
  started_at        INTEGER,
  completed_at      INTEGER,
  updated_at        INTEGER NOT NULL,
  CHECK ((completed_at IS NOT NULL) = (state IN ('done', 'failed', 'cancelled'))),
  CHECK ((error_code IS NOT NULL) = (state = 'failed')),
  CHECK (not_before IS NULL OR state = 'queued')
) STRICT;

-- Claims read these two and nothing else, so a claim costs the same with 1,000 and 1,000,000 waiting.
CREATE INDEX jobs_ready ON jobs (seq) WHERE state = 'queued' AND not_before IS NULL;
CREATE INDEX jobs_ready_by_key ON jobs (residency_key, seq) WHERE state = 'queued' AND not_before IS NULL;
CREATE INDEX jobs_backing_off ON jobs (not_before) WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (completed_at) WHERE completed_at IS NOT NULL;
-- One job on the worker, whatever happens.
CREATE UNIQUE INDEX jobs_one_active ON jobs ((1)) WHERE state IN ('loading', 'working');

CREATE TRIGGER jobs_born_queued BEFORE INSERT ON jobs WHEN NEW.state <> 'queued'
BEGIN
  SELECT RAISE(ABORT, 'a job is born queued');
END;

CREATE TRIGGER jobs_legal_transition BEFORE UPDATE OF state ON jobs
WHEN NEW.state IS NOT OLD.state AND NOT EXISTS (
  SELECT 1 FROM job_transitions WHERE from_state = OLD.state AND to_state = NEW.state)
BEGIN
  SELECT RAISE(ABORT, 'illegal job transition');
END;

-- Async only: a sync body lives in memory and dies with its client.
CREATE TABLE requests (
  job_seq INTEGER PRIMARY KEY REFERENCES jobs (seq) ON DELETE CASCADE,
  body    BLOB NOT NULL
) STRICT;

CREATE TABLE artifacts (
  job_seq      INTEGER NOT NULL REFERENCES jobs (seq) ON DELETE CASCADE,
  name         TEXT    NOT NULL,
  content_type TEXT    NOT NULL,
  body         BLOB    NOT NULL,
  PRIMARY KEY (job_seq, name)
) STRICT;
