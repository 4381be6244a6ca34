-- Whatever a list asks for is found by index, and what is owed is counted as it changes (ADR 0026).

-- Written once, when a job is over; a list of all models hops from one to the next, because a second index would cost each call 4 us more.
CREATE INDEX jobs_final ON jobs (model, kind, state) WHERE completed_at IS NOT NULL;
CREATE INDEX jobs_waiting_by_model ON jobs (model, kind) WHERE state = 'queued';
CREATE INDEX jobs_waiting_sync ON jobs (seq) WHERE state = 'queued' AND kind = 'sync';
CREATE INDEX jobs_backing_off_by_seq ON jobs (seq) WHERE state = 'queued' AND not_before IS NOT NULL;

-- How many jobs have a receiver that is behind.
CREATE TABLE webhooks_owed (
  id   INTEGER PRIMARY KEY CHECK (id = 1),
  jobs INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT;

INSERT INTO webhooks_owed (id, jobs) SELECT 1, count(*) FROM webhooks WHERE due_at IS NOT NULL;

CREATE TRIGGER webhooks_begun AFTER INSERT ON webhooks WHEN NEW.due_at IS NOT NULL
BEGIN
  UPDATE webhooks_owed SET jobs = jobs + 1;
END;

CREATE TRIGGER webhooks_turned AFTER UPDATE OF due_at ON webhooks WHEN (OLD.due_at IS NULL) <> (NEW.due_at IS NULL)
BEGIN
  UPDATE webhooks_owed SET jobs = jobs + iif(NEW.due_at IS NULL, -1, 1);
END;

CREATE TRIGGER webhooks_gone AFTER DELETE ON webhooks WHEN OLD.due_at IS NOT NULL
BEGIN
  UPDATE webhooks_owed SET jobs = jobs - 1;
END;
