-- A call whose client waits has no row before it is claimed: it is born on its slot, or in a lane (ADR 0025).

DROP TRIGGER jobs_born_queued;

-- Everything else is born queued; and a second key never joins the first by birth either.
CREATE TRIGGER jobs_born BEFORE INSERT ON jobs
WHEN NEW.state <> 'queued' OR NEW.slot IS NOT NULL OR NEW.completed_at IS NOT NULL OR NEW.error_code IS NOT NULL
BEGIN
  SELECT RAISE(ABORT, 'a job is born queued, a call on its slot')
    WHERE NEW.kind <> 'sync' OR NEW.slot IS NULL OR NEW.completed_at IS NOT NULL OR NEW.error_code IS NOT NULL OR NEW.not_before IS NOT NULL
      OR NOT EXISTS (SELECT 1 FROM job_states WHERE name = NEW.state AND is_active = 1);
  SELECT RAISE(ABORT, 'one residency key over all slots')
    WHERE NEW.slot < 1000 AND EXISTS (
      SELECT 1 FROM jobs INDEXED BY jobs_slots WHERE slot IS NOT NULL AND slot < 1000 AND residency_key <> NEW.residency_key);
END;
