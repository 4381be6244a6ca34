-- Jobs that something else than the target serves (ADR 0029): beside the slots, in lanes, where no residency key is in anybody's way.

-- 'auto': a waiting job may be served elsewhere. NULL: it waits for the target.
ALTER TABLE jobs ADD COLUMN fallback TEXT CHECK (fallback IN ('auto'));
-- Who gave the answer, and the model that did where it has another name there.
ALTER TABLE jobs ADD COLUMN served_by TEXT CHECK (served_by IN ('target', 'fallback'));
ALTER TABLE jobs ADD COLUMN served_model TEXT;

CREATE INDEX jobs_fallback ON jobs (seq) WHERE state = 'queued' AND fallback IS NOT NULL;

-- 1000 and above are lanes; they are there whatever the number of slots is.
INSERT INTO slots (slot)
  WITH RECURSIVE lane(slot) AS (SELECT 1000 UNION ALL SELECT slot + 1 FROM lane WHERE slot < 1063) SELECT slot FROM lane;

DROP TRIGGER jobs_one_key;

-- A second key never joins the first, and a job stays where it is; only from its slot into a lane it may go.
CREATE TRIGGER jobs_one_key BEFORE UPDATE OF slot ON jobs
WHEN NEW.slot IS NOT NULL AND NEW.slot < 1000 AND NEW.slot IS NOT OLD.slot AND (OLD.slot IS NOT NULL OR EXISTS (
  SELECT 1 FROM jobs INDEXED BY jobs_slots WHERE slot IS NOT NULL AND slot < 1000 AND residency_key <> NEW.residency_key))
BEGIN
  SELECT RAISE(ABORT, 'one residency key over all slots');
END;

-- A transition tells its webhook and its followers who gave the answer.
ALTER TABLE transitions ADD COLUMN served_by TEXT;
ALTER TABLE transitions ADD COLUMN served_model TEXT;

DROP TRIGGER jobs_transitioned;

CREATE TRIGGER jobs_transitioned AFTER UPDATE OF state ON jobs WHEN NEW.kind = 'async' AND NEW.state IS NOT OLD.state
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at, error_code, error_message, served_by, served_model)
    SELECT NEW.seq, max(sequence) + 1, OLD.state, NEW.state, NEW.attempt, NEW.updated_at, NEW.error_code, NEW.error_message,
      NEW.served_by, NEW.served_model
    FROM transitions WHERE job_seq = NEW.seq;
  -- One that is behind already tells this transition in its turn, if it is to be told.
  UPDATE webhooks SET due_at = NEW.updated_at, sequence = (SELECT max(sequence) FROM transitions WHERE job_seq = NEW.seq)
    WHERE job_seq = NEW.seq AND due_at IS NULL
      AND (NEW.webhook_states IS NULL OR instr(NEW.webhook_states, '"' || NEW.state || '"') > 0);
END;
