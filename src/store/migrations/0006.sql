-- Which transitions a receiver wants to hear of, and how its webhooks went (ADR 0013).

-- A JSON list of states; NULL: all of them.
ALTER TABLE jobs ADD COLUMN webhook_states TEXT;
-- Transitions that the receiver was never told of.
ALTER TABLE webhooks ADD COLUMN given_up INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER jobs_submitted;
DROP TRIGGER jobs_transitioned;

-- The database writes down what is owed, in the transition's own transaction, so no code path can forget it.
CREATE TRIGGER jobs_submitted AFTER INSERT ON jobs WHEN NEW.kind = 'async'
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at)
    VALUES (NEW.seq, 1, NULL, NEW.state, NEW.attempt, NEW.updated_at);
  INSERT INTO webhooks (job_seq, origin, due_at)
    SELECT NEW.seq, substr(NEW.webhook_url, 1, instr(substr(NEW.webhook_url, 9) || '/', '/') + 7),
      CASE WHEN NEW.webhook_states IS NULL OR instr(NEW.webhook_states, '"' || NEW.state || '"') > 0 THEN NEW.updated_at END
    WHERE NEW.webhook_url IS NOT NULL;
END;

CREATE TRIGGER jobs_transitioned AFTER UPDATE OF state ON jobs WHEN NEW.kind = 'async' AND NEW.state IS NOT OLD.state
BEGIN
  INSERT INTO transitions (job_seq, sequence, previous_state, state, attempt, at, error_code, error_message)
    SELECT NEW.seq, max(sequence) + 1, OLD.state, NEW.state, NEW.attempt, NEW.updated_at, NEW.error_code, NEW.error_message
    FROM transitions WHERE job_seq = NEW.seq;
  -- One that is behind already tells this transition in its turn, if it is to be told.
  UPDATE webhooks SET due_at = NEW.updated_at, sequence = (SELECT max(sequence) FROM transitions WHERE job_seq = NEW.seq)
    WHERE job_seq = NEW.seq AND due_at IS NULL
      AND (NEW.webhook_states IS NULL OR instr(NEW.webhook_states, '"' || NEW.state || '"') > 0);
END;
