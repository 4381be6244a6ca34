-- States by reference, slots, and the schemas of parts (ADR 0011). Runs with foreign keys off: `jobs` is rebuilt under its children.

-- A new state is a row here and its edges below.
CREATE TABLE job_states (
  name       TEXT    PRIMARY KEY,
  -- Holds a slot.
  is_active  INTEGER NOT NULL CHECK (is_active IN (0, 1)),
  -- Has its time of completion, and is never left.
  is_final   INTEGER NOT NULL CHECK (is_final IN (0, 1)),
  -- Has an error.
  is_failure INTEGER NOT NULL CHECK (is_failure IN (0, 1)),
  CHECK (is_active + is_final <= 1),
  CHECK (is_failure <= is_final)
) STRICT, WITHOUT ROWID;

INSERT INTO job_states (name, is_active, is_final, is_failure) VALUES
  ('queued',    0, 0, 0),
  ('loading',   1, 0, 0),
  ('working',   1, 0, 0),
  ('done',      0, 1, 0),
  ('failed',    0, 1, 1),
  ('cancelled', 0, 1, 0);

DROP TRIGGER jobs_born_queued;
DROP TRIGGER jobs_legal_transition;
DROP TRIGGER jobs_submitted;
DROP TRIGGER jobs_transitioned;

CREATE TABLE job_transitions_next (
  from_state TEXT NOT NULL REFERENCES job_states (name),
  to_state   TEXT NOT NULL REFERENCES job_states (name),
  PRIMARY KEY (from_state, to_state)
) STRICT, WITHOUT ROWID;
INSERT INTO job_transitions_next (from_state, to_state) SELECT from_state, to_state FROM job_transitions;
DROP TABLE job_transitions;
ALTER TABLE job_transitions_next RENAME TO job_transitions;

-- 0..P-1, set at each start: a slot that is not here cannot be taken.
CREATE TABLE slots (slot INTEGER PRIMARY KEY CHECK (slot >= 0)) STRICT;
INSERT INTO slots (slot) VALUES (0);

-- Rows are kept slim: bodies live beside them, so that a claim rewrites 200 bytes and not the prompt.
CREATE TABLE jobs_next (
  seq               INTEGER PRIMARY KEY,
  id                TEXT    NOT NULL UNIQUE,
  kind              TEXT    NOT NULL CHECK (kind IN ('sync', 'async')),
  endpoint          TEXT    NOT NULL,
  model             TEXT    NOT NULL,
  residency_key     TEXT    NOT NULL,
  state             TEXT    NOT NULL DEFAULT 'queued' REFERENCES job_states (name),
  -- Where an active job runs.
  slot              INTEGER REFERENCES slots (slot),
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
  updated_at        INTEGER NOT NULL
) STRICT;

INSERT INTO jobs_next (seq, id, kind, endpoint, model, residency_key, state, slot, attempt, max_attempts, deferrals, not_before, webhook_url,
    error_code, error_message, prompt_tokens, completion_tokens, total_duration_ms, created_at, started_at, completed_at, updated_at)
  SELECT seq, id, kind, endpoint, model, residency_key, state,
    -- There was one at most.
    (SELECT 0 FROM job_states WHERE name = state AND is_active = 1), attempt, max_attempts, deferrals, not_before, webhook_url,
    error_code, error_message, prompt_tokens, completion_tokens, total_duration_ms, created_at, started_at, completed_at, updated_at
  FROM jobs ORDER BY seq;
DROP TABLE jobs;
ALTER TABLE jobs_next RENAME TO jobs;

-- Claims read these and nothing else, so a claim costs the same with 1,000 and 1,000,000 waiting.
CREATE INDEX jobs_ready ON jobs (seq) WHERE state = 'queued' AND not_before IS NULL;
CREATE INDEX jobs_ready_by_key ON jobs (residency_key, seq) WHERE state = 'queued' AND not_before IS NULL;
CREATE INDEX jobs_backing_off ON jobs (not_before) WHERE state = 'queued' AND not_before IS NOT NULL;
CREATE INDEX jobs_finished ON jobs (completed_at) WHERE completed_at IS NOT NULL;
-- One job a slot, whatever happens.
CREATE UNIQUE INDEX jobs_slots ON jobs (slot) WHERE slot IS NOT NULL;

CREATE TRIGGER jobs_born_queued BEFORE INSERT ON jobs
WHEN NEW.state <> 'queued' OR NEW.slot IS NOT NULL OR NEW.completed_at IS NOT NULL OR NEW.error_code IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'a job is born queued');
END;

-- One look at the state and one at the edge take the place of a CHECK for each rule, which cost five times as much.
CREATE TRIGGER jobs_legal_transition BEFORE UPDATE OF state, slot, not_before, error_code, completed_at ON jobs
WHEN NOT EXISTS (
  SELECT 1 FROM job_states WHERE name = NEW.state
    AND is_active = (NEW.slot IS NOT NULL) AND is_final = (NEW.completed_at IS NOT NULL) AND is_failure = (NEW.error_code IS NOT NULL)
    AND (NEW.not_before IS NULL OR is_active + is_final = 0)
    AND (NEW.state = OLD.state OR EXISTS (SELECT 1 FROM job_transitions WHERE from_state = OLD.state AND to_state = NEW.state)))
BEGIN
  SELECT RAISE(ABORT, 'illegal job transition') WHERE NEW.state <> OLD.state
    AND NOT EXISTS (SELECT 1 FROM job_transitions WHERE from_state = OLD.state AND to_state = NEW.state);
  SELECT RAISE(ABORT, 'slot, not_before, error_code and completed_at must fit the state of a job');
END;

-- A second key never joins the first, and a job stays where it is.
CREATE TRIGGER jobs_one_key BEFORE UPDATE OF slot ON jobs
WHEN NEW.slot IS NOT NULL AND NEW.slot IS NOT OLD.slot AND (OLD.slot IS NOT NULL OR EXISTS (
  SELECT 1 FROM jobs INDEXED BY jobs_slots WHERE slot IS NOT NULL AND residency_key <> NEW.residency_key))
BEGIN
  SELECT RAISE(ABORT, 'one residency key over all slots');
END;

CREATE TRIGGER jobs_key_is_kept BEFORE UPDATE OF residency_key ON jobs WHEN OLD.slot IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'one residency key over all slots');
END;

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

-- Which schema the tables of a part have; a part that is not there keeps its row and its tables.
CREATE TABLE parts (
  name   TEXT    PRIMARY KEY,
  schema INTEGER NOT NULL CHECK (schema >= 1)
) STRICT, WITHOUT ROWID;
